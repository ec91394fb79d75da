import type { Socket } from 'node:net'
import type { PinnedBuffer } from '../native/arena.ts'
import type { SocketSender } from '../native/socket-sender.ts'
import { slabBytes, type PacketPool } from './packet-pool.ts'

/** For fewer bytes than these a copy is made: a last word to a client that is gone must not hold a slab. */
const leastLent = 16 * 1024

/** What the output of a socket needs. */
export interface SocketOutputOptions {
  readonly socket: Socket
  readonly pool: PacketPool
  /** The way past Node's streams, where there is one. */
  readonly sender: SocketSender | undefined
  /** What the kernel did not take at once is with it now. */
  readonly drained: () => void
}

/**
 * Bytes on their way to a socket, one after another in memory that is used again, so that everything said in a turn of
 * the event loop is one system call. Memory is held only while there is something to say: for a client that does not
 * read, what Node waits with and one slab more.
 */
export class SocketOutput {
  /** For strangers: what they do not read is copied, so that a few bytes of it hold no slab. */
  thrifty = true
  readonly #socket: Socket
  readonly #pool: PacketPool
  readonly #sender: SocketSender | undefined
  readonly #drained: () => void
  #slab: PinnedBuffer | undefined
  #filled = 0
  /** Writes that Node waits with. */
  #withNode = 0

  constructor({ socket, pool, sender, drained }: SocketOutputOptions) {
    this.#socket = socket
    this.#pool = pool
    this.#sender = sender
    this.#drained = drained
  }

  /** Bytes that the kernel has not taken yet. */
  get backlog(): number {
    return this.#filled + this.#socket.writableLength
  }

  /** Room for `length` bytes that are handed to `write` next, and then lie there already. */
  allocate(length: number): Buffer {
    if (length > slabBytes) return Buffer.allocUnsafe(length)
    if (this.#filled + length > slabBytes) this.flushAll()
    this.#slab ??= this.#pool.take()
    return this.#slab.bytes.subarray(this.#filled, this.#filled + length)
  }

  /** Takes bytes for the socket; those that were not made in `allocate`'s room are copied. */
  write(bytes: Uint8Array): void {
    const { length } = bytes
    const slab = this.#slab?.bytes
    const inPlace = slab?.buffer === bytes.buffer && bytes.byteOffset === slab.byteOffset + this.#filled
    if (!inPlace) {
      if (length > slabBytes) return this.#writeApart(bytes)
      this.allocate(length).set(bytes)
    }
    this.#filled += length
  }

  /** Hands everything to the kernel; where Node still waits with what came before, soon. */
  flush(): void {
    if (this.#withNode === 0 || this.thrifty) this.flushAll()
  }

  /** Hands everything to the kernel, or what it does not take now to Node. */
  flushAll(): void {
    const slab = this.#slab
    if (slab === undefined) return
    // After its end nothing is to follow.
    if (this.#socket.writableEnded) return this.drop()
    this.#slab = undefined
    const length = this.#filled
    this.#filled = 0
    const sent = length === 0 ? 0 : this.#sendNow(slab, length)
    const rest = slab.bytes.subarray(sent, length)
    if (rest.length >= leastLent && !this.thrifty) return this.#leaveToNode(rest, slab)
    if (rest.length > 0) this.#leaveToNode(Buffer.from(rest))
    this.#pool.give(slab)
  }

  #leaveToNode(bytes: Buffer, slab?: PinnedBuffer): void {
    this.#withNode += 1
    this.#socket.write(bytes, (error) => {
      this.#withNode -= 1
      if (error) return // the slab is left to the collector
      if (slab !== undefined) this.#pool.give(slab)
      this.flush()
      if (this.#withNode === 0) this.#drained()
    })
  }

  /** Nothing more is said. */
  drop(): void {
    if (this.#slab !== undefined) this.#pool.give(this.#slab)
    this.#slab = undefined
    this.#filled = 0
  }

  /** How many bytes the kernel took without waiting. */
  #sendNow(slab: PinnedBuffer, length: number): number {
    const socket = this.#socket
    // What waits in Node comes first.
    if (this.#sender === undefined || socket.writableLength > 0) return 0
    const fd = descriptorOf(socket)
    return fd < 0 ? 0 : Math.max(0, this.#sender(fd, slab.address, length))
  }

  #writeApart(bytes: Uint8Array): void {
    this.flushAll()
    this.#socket.write(bytes)
  }
}

/** The descriptor of a socket, asked for each time: a number that was closed may be another file's by now. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null }
  return typeof handle?.fd === 'number' ? handle.fd : -1
}
