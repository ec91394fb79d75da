import { Socket, type SocketConstructorOpts } from 'node:net'

/** How a socket reads into memory of ours. */
export interface OwnMemory {
  /** Where the next bytes go; asked again after every read. */
  next(): Buffer
  /** So many bytes lie at the beginning of what `next` gave. */
  received(length: number): void
}

/**
 * Makes an accepted socket that was never read from read into `memory`. False where this Node has no way to do so
 * for an accepted socket; it then emits `data` as ever.
 *
 * Node's own way takes 64 KiB for every read and leaves them to the collector: with an upload of 512 MiB (Node 24)
 * marking and sweeping on V8's threads took a third of the process's CPU, 1.15 s of it without this.
 */
export function readInto(socket: Socket, memory: OwnMemory): boolean {
  const inside: Inside = socket as unknown as Inside // the fields are looked at below before they are believed
  const names = ownMemoryNames()
  const handle = inside._handle
  if (names === undefined || typeof handle?.useUserBuffer !== 'function') return false
  const first = memory.next()
  inside[names.buffer] = first
  inside[names.generate] = () => memory.next()
  inside[names.callback] = (length: number) => {
    memory.received(length)
    return true
  }
  handle.useUserBuffer(first)
  return true
}

interface Inside {
  readonly _handle?: { readonly useUserBuffer?: (buffer: Buffer) => void }
  [name: symbol]: unknown
}

interface Names {
  readonly buffer: symbol
  readonly generate: symbol
  readonly callback: symbol
}

/**
 * `net.Socket` has an option for this, `onread`, but a server cannot give it to the sockets it accepts. A socket made
 * with the option shows under which names it is kept.
 */
function ownMemoryNames(): Names | undefined {
  if (looked) return known
  looked = true
  const generate = (): Buffer => Buffer.alloc(0)
  const callback = (): boolean => true
  // Documented for every socket; the types know it for `connect` alone.
  const options: SocketConstructorOpts & object = { onread: { buffer: generate, callback } } as object
  const probe = new Socket(options)
  const inside = probe as unknown as Inside
  const named = (test: (value: unknown, name: symbol) => boolean): symbol | undefined =>
    Object.getOwnPropertySymbols(probe).find((name) => test(inside[name], name))
  const names = {
    buffer: named((value, name) => value === true && name.description === 'kBuffer'),
    generate: named((value) => value === generate),
    callback: named((value) => value === callback),
  }
  probe.destroy()
  const { buffer } = names
  if (buffer !== undefined && names.generate !== undefined && names.callback !== undefined)
    known = { buffer, generate: names.generate, callback: names.callback }
  return known
}

// What this Node is like; the same for every server in the process.
let looked = false
let known: Names | undefined
