import { answerHybrid, beginHybrid, hybridName } from '../post-quantum.ts'
import { Fields, sshString } from '../wire.ts'
import type { PrivateExchange, PrivateProtocol } from './private-parts.ts'

type Side = 'server' | 'client'

/** The exchange that the library believes in where the hybrid runs. */
const stand = 'curve25519-sha256'

const firstOfExchange = 30

/** The peer's KEXINIT with x25519 in the place of the hybrid, or undefined when the hybrid is not the choice. */
export function plainInitOf(payload: Buffer, side: Side, ours: readonly string[]): Buffer | undefined {
  const fields = new Fields(payload, 17)
  const theirs = fields.name().split(',')
  const [clients, servers] = side === 'server' ? [theirs, ours] : [ours, theirs]
  if (clients.find((name) => servers.includes(name)) !== hybridName) return undefined
  const names = theirs.map((name) => (name === hybridName ? stand : name === stand ? hybridName : name))
  return Buffer.concat([
    payload.subarray(0, 17),
    sshString(names.join(',')),
    payload.subarray(fields.position),
  ])
}

/** Runs `action` with an offer of nothing but x25519; a client's first message of it is not sent. */
export function asIfPlain(protocol: PrivateProtocol, side: Side, action: () => unknown): unknown {
  const offer = protocol._offer
  const cipher = protocol._cipher
  const encrypt = cipher.encrypt
  const kex = { ...offer.lists.kex, array: [stand] }
  // The same object but for one list: the prototype is the offer itself.
  protocol._offer = Object.create(offer, { lists: { value: { ...offer.lists, kex } } }) as typeof offer
  if (side === 'client')
    cipher.encrypt = (packet) => {
      if (packet[5] !== firstOfExchange) encrypt.call(cipher, packet)
    }
  try {
    return action()
  } finally {
    protocol._offer = offer
    cipher.encrypt = encrypt
  }
}

/** Gives an exchange that the library believes to be x25519 the hybrid's methods. */
export function makeHybrid(exchange: PrivateExchange, side: Side): void {
  if (side === 'server') makeHybridServer(exchange)
  else makeHybridClient(exchange)
}

function makeHybridServer(exchange: PrivateExchange): void {
  let reply = empty
  exchange.convertPublicKey = (key) => key
  exchange.computeSecret = (theirs) => {
    try {
      const answer = answerHybrid(theirs)
      reply = answer.reply
      return answer.secret
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }
  exchange.getPublicKey = () => reply
}

/** Only for the self-test and for tests: this server is nobody's client. */
function makeHybridClient(exchange: PrivateExchange): void {
  const hybrid = beginHybrid()
  exchange.convertPublicKey = (key) => key
  exchange.computeSecret = (reply) => hybrid.finish(reply)
  exchange.getPublicKey = () => hybrid.init
}

const empty: Buffer = Buffer.alloc(0)
