import { once } from 'node:events'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { failure } from 'sftpgo-ts/sdk'
import { element, elementsIn, readElement, type Element } from './ber.ts'

/** A connection to an LDAP directory (RFC 4511). A directory that cannot answer throws; a wrong password is `false`. */
export interface Directory {
  bind(dn: string, password: string): Promise<boolean>
  /** At most two names of entries below `base` whose attribute has this value. */
  find(base: string, attribute: string, value: string): Promise<readonly string[]>
  close(): void
}

const tags = { bind: 0x60, bound: 0x61, search: 0x63, entry: 0x64, reference: 0x73, searched: 0x65 }
const results = { success: 0, sizeLimit: 4, noSuchObject: 32, invalidCredentials: 49 }

/** Connects; each later step takes at most `timeoutMs`. */
export async function openDirectory(url: string, timeoutMs: number): Promise<Directory> {
  const socket = await connected(new URL(url), timeoutMs)
  const answers = messages(socket)
  let last = 0

  async function* ask(operation: Buffer): AsyncGenerator<Element> {
    last += 1
    const id = last
    socket.write(element(0x30, element(0x02, id), operation))
    for (;;) {
      const answer = await answers.next()
      if (answer.done === true) throw new Error('The directory hung up')
      const [number, body] = elementsIn(answer.value)
      if (number?.value.readUIntBE(0, number.value.length) === id && body !== undefined) yield body
    }
  }

  return {
    bind: (dn, password) =>
      orFailure(socket, timeoutMs, async () => {
        const asked = element(tags.bind, element(0x02, 3), element(0x04, dn), element(0x80, password))
        for await (const { tag, value } of ask(asked)) {
          const code = tag === tags.bound ? resultOf(value) : -1
          if (code === results.success) return true
          if (code === results.invalidCredentials) return false
          throw new Error(`The directory answers a bind with result ${code}`)
        }
        return false
      }),
    find: (base, attribute, value) =>
      orFailure(socket, timeoutMs, async () => {
        const found: string[] = []
        for await (const { tag, value: body } of ask(searchFor(base, attribute, value))) {
          if (tag === tags.entry) found.push(elementsIn(body)[0]?.value.toString('utf8') ?? '')
          if (tag !== tags.searched) continue
          const code = resultOf(body)
          if ([results.success, results.sizeLimit, results.noSuchObject].includes(code)) break
          throw new Error(`The directory answers a search with result ${code}`)
        }
        return found
      }),
    close: () => void socket.destroy(),
  }
}

/** The whole subtree, two entries at most, no attributes: `1.1`. The value needs no escaping, for it is no text filter. */
function searchFor(base: string, attribute: string, value: string): Buffer {
  const bounds = [element(0x0a, 2), element(0x0a, 0), element(0x02, 2), element(0x02, 10), element(0x01, 0)]
  const filter = element(0xa3, element(0x04, attribute), element(0x04, value))
  return element(tags.search, element(0x04, base), ...bounds, filter, element(0x30, element(0x04, '1.1')))
}

function resultOf(body: Buffer): number {
  return elementsIn(body)[0]?.value[0] ?? -1
}

async function connected(url: URL, timeoutMs: number): Promise<Socket> {
  const secure = url.protocol === 'ldaps:'
  const [host, port] = [url.hostname.replace(/^\[|\]$/g, ''), Number(url.port) || (secure ? 636 : 389)]
  const socket = secure ? connectTls({ host, port, servername: host }) : connectPlain({ host, port })
  return orFailure(socket, timeoutMs, async () => {
    await once(socket, secure ? 'secureConnect' : 'connect')
    return socket
  })
}

async function* messages(socket: Socket): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0)
  for await (const bytes of socket as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, bytes])
    for (let one = readElement(rest); one !== undefined; one = readElement(rest)) {
      yield one.value
      rest = rest.subarray(one.size)
    }
  }
}

/** Runs one step. What goes wrong in it, lateness too, is a directory that cannot answer. */
async function orFailure<T>(socket: Socket, timeoutMs: number, step: () => Promise<T>): Promise<T> {
  const timer = setTimeout(() => socket.destroy(new Error('The directory takes too long')), timeoutMs)
  try {
    return await step()
  } catch (cause) {
    socket.destroy()
    throw failure('The directory cannot be asked', cause)
  } finally {
    clearTimeout(timer)
  }
}
