import { createHash } from 'node:crypto'
import { type AlgorithmChoice } from './algorithms.ts'
import type { CipherWay, HostKey, SshLibrary, Transport } from './library.ts'
import { buildMessage } from './wire.ts'

/** What the test at start found out. */
export interface SelfTestResult {
  readonly ciphers: readonly string[]
  readonly macs: readonly string[]
  readonly failed: readonly { readonly name: string; readonly reason: string }[]
}

/**
 * Runs each cipher of an offer both ways on this machine, and whole conversations through the library.
 *
 * A cipher that fails is left out of the result. A library whose private parts changed makes this throw.
 */
export function runSelfTest(library: SshLibrary, choice: AlgorithmChoice, hostKey: HostKey): SelfTestResult {
  const failed: { name: string; reason: string }[] = []
  const [anyMac] = choice.macs
  const works = (name: string, action: () => void): boolean => {
    try {
      action()
      return true
    } catch (error) {
      failed.push({ name, reason: error instanceof Error ? error.message : String(error) })
      return false
    }
  }
  const ciphers = choice.ciphers.filter((name) => works(name, () => testCipher(library, name, anyMac ?? '')))
  const macs = choice.macs.filter((name) => works(name, () => testCipher(library, 'aes256-ctr', name)))
  if (ciphers.length === 0) throw new Error('Cannot offer any cipher: all failed their test')
  for (const kex of choice.kex.slice(0, 2))
    testConversation(library, { ...choice, ciphers, macs }, kex, hostKey)
  return { ciphers, macs, failed }
}

/** Encrypts and decrypts the same packets in each way, against each other and against what was written down. */
function testCipher(library: SshLibrary, cipher: string, mac: string): void {
  const aead = isAead(cipher)
  const ways: readonly CipherWay[] = library.nativeCiphers ? ['in-place', 'portable'] : ['portable']
  for (const [sequence, length] of [
    [0, 44],
    [70_000, 4092],
  ] as const) {
    const packet = knownPacket(aead || mac.includes('-etm@') ? length + 4 : length)
    const payload = packet.subarray(5, packet.length - (packet[4] ?? 0))
    for (const way of ways) {
      const sealed = library.sealPacket(cipher, mac, sequence, packet, way)
      const known = sequence === 0 ? knownResults[aead ? cipher : `${cipher} ${mac}`] : undefined
      if (known !== undefined && digest(sealed) !== known) throw new Error(`Wrong bytes (${way})`)
      for (const other of ways) {
        if (!library.openPacket(cipher, mac, sequence, sealed, other).equals(payload))
          throw new Error(`What was encrypted (${way}) does not come back (${other})`)
      }
      const changed = Buffer.from(sealed)
      changed[changed.length - 20] = (changed[changed.length - 20] ?? 0) ^ 1
      if (opens(library, cipher, mac, sequence, changed, way))
        throw new Error(`A changed packet is taken (${way})`)
    }
  }
}

function opens(
  ...[library, cipher, mac, sequence, sealed, way]: [SshLibrary, string, string, number, Buffer, CipherWay]
): boolean {
  try {
    library.openPacket(cipher, mac, sequence, sealed, way)
    return true
  } catch {
    return false
  }
}

function isAead(cipher: string): boolean {
  return cipher.includes('gcm') || cipher.includes('poly1305')
}

/** A packet with nothing random in it: length, padding of 8, bytes that count. */
function knownPacket(length: number): Buffer {
  const packet = Buffer.from(Array.from({ length: 4 + length }, (_, index) => index & 0xff))
  packet.writeUInt32BE(length)
  packet[4] = 8
  return packet
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32)
}

/** First half of the SHA-256 of the known packet, encrypted by an independent implementation (test/ssh/known-packets.py). */
const knownResults: Readonly<Record<string, string>> = {
  'aes128-gcm@openssh.com': '4ac4a8422145f4c4104ce4b53275975b',
  'aes256-gcm@openssh.com': 'e0d36cc71b21accb2c0c7187d94df605',
  'chacha20-poly1305@openssh.com': '520cdc36071ae854e6c433d802045825',
  'aes128-ctr hmac-sha2-256-etm@openssh.com': 'c107efa1bc55c75eab3d8973c28d148a',
  'aes128-ctr hmac-sha2-256': '4c4ece901895d381211c5f871b9dde59',
  'aes128-ctr hmac-sha2-512-etm@openssh.com': '2ad8c8707fc02caffca8916a686559d5',
  'aes128-ctr hmac-sha2-512': '2099af6a5855d69bc37903d797e45a1b',
  'aes192-ctr hmac-sha2-256-etm@openssh.com': 'f63c6494699225bbd2ccb51aefcab18c',
  'aes192-ctr hmac-sha2-256': '446ff058d3e2358ff37e95082272203b',
  'aes192-ctr hmac-sha2-512-etm@openssh.com': '3f2dc73d630c808264e67370f7e3de47',
  'aes192-ctr hmac-sha2-512': '857cd2b89937496e316c749070f6814a',
  'aes256-ctr hmac-sha2-256-etm@openssh.com': '65eacf04cb495f6c808f78678cdb49d8',
  'aes256-ctr hmac-sha2-256': 'ef0ee14898a010bf13cde5eeb1c6c6dd',
  'aes256-ctr hmac-sha2-512-etm@openssh.com': '0e96bf52e9ddb13a20baf8599e7b528a',
  'aes256-ctr hmac-sha2-512': '38b41d26bd1445b039b6a4df619b477e',
}

/** Two of our transports talk through memory: first exchange, messages, an exchange started by each side. */
function testConversation(library: SshLibrary, choice: AlgorithmChoice, kex: string, hostKey: HostKey): void {
  const algorithm = choice.hostKeyAlgorithms.find(
    (name) => name === hostKey.type || (hostKey.type === 'ssh-rsa' && name.startsWith('rsa-sha2-')),
  )
  if (algorithm === undefined) return // a key of a kind that is not offered
  const pair = connectInMemory(library, choice, kex, algorithm, hostKey)
  try {
    pair.run()
    expectExchanges(pair, kex, 1)
    for (const [round, side] of [pair.client, pair.server].entries()) {
      pair.client.send(buildMessage(80, `question ${round}`, true))
      side.rekey()
      pair.server.send(buildMessage(81, `answer ${round}`))
      pair.run()
      expectExchanges(pair, kex, 2 + round)
    }
    const heard = [...pair.serverHeard, ...pair.clientHeard].map((payload) => payload[0]).join(' ')
    if (heard !== '80 80 7 81 81')
      throw new Error(`Cannot use this version of ssh2: messages got lost (${heard})`)
  } finally {
    pair.client.close()
    pair.server.close()
  }
}

interface Pair {
  readonly server: Transport
  readonly client: Transport
  readonly serverHeard: Buffer[]
  readonly clientHeard: Buffer[]
  readonly exchanges: string[]
  /** Carries bytes until both are silent. */
  run(): void
}

function connectInMemory(
  library: SshLibrary,
  choice: AlgorithmChoice,
  kex: string,
  hostKeyAlgorithm: string,
  hostKey: HostKey,
): Pair {
  const toServer: Uint8Array[] = [Buffer.from('SSH-2.0-client\r\n')]
  const toClient: Uint8Array[] = [Buffer.from('SSH-2.0-server\r\n')]
  const exchanges: string[] = []
  const failed = (error: Error): never => {
    throw new Error(`Cannot use this version of ssh2: ${error.message}`, { cause: error })
  }
  const make = (side: 'server' | 'client', out: Uint8Array[], heard: Buffer[]): Transport => {
    // Each side lists "ext-info-c" and strict mode as a real one would; the library adds the latter itself.
    const kexes =
      side === 'client' ? [kex, 'ext-info-c', 'kex-strict-c-v00@openssh.com'] : [kex, strictServer]
    const offer = library.createOffer({ ...choice, kex: kexes, hostKeyAlgorithms: [hostKeyAlgorithm] })
    return library.createTransport(
      {
        side,
        software: side,
        offer,
        hostKeys: side === 'server' ? [hostKey] : [],
        signatureAlgorithms: choice.publicKeyAlgorithms,
        rekeyBytes: Number.MAX_SAFE_INTEGER,
        firstExchangesOnly: false,
      },
      {
        write: (bytes) => void out.push(Buffer.from(bytes)),
        payload: (payload) => void heard.push(Buffer.from(payload)),
        exchanged: (_, negotiated) => void exchanges.push(negotiated.kex),
        disconnected: () => failed(new Error('disconnected')),
        failed,
      },
    )
  }
  const serverHeard: Buffer[] = []
  const clientHeard: Buffer[] = []
  const server = make('server', toClient, serverHeard)
  const client = make('client', toServer, clientHeard)
  const run = (): void => {
    while (toServer.length + toClient.length > 0) {
      for (const bytes of toServer.splice(0)) server.receive(bytes as Buffer) // copies made above
      for (const bytes of toClient.splice(0)) client.receive(bytes as Buffer)
    }
  }
  return { server, client, serverHeard, clientHeard, exchanges, run }
}

/** Said in the server's offer, it switches strict key exchange on (the answer to CVE-2023-48795). */
export const strictServer = 'kex-strict-s-v00@openssh.com'

function expectExchanges(pair: Pair, kex: string, count: number): void {
  const seen = pair.exchanges.join(' ')
  const wanted = Array.from({ length: count * 2 }, () => kex).join(' ')
  if (seen !== wanted)
    throw new Error(`Cannot use this version of ssh2: ${count} exchanges of ${kex} were "${seen}"`)
}
