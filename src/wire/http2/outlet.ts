import type { Socket } from 'node:net'
import { Http2Fault } from './frames.ts'

/** The way out of a connection. What is written in one turn leaves in one piece: one TLS record instead of many. */
export class Outlet {
  readonly #socket: Socket
  #frames: Buffer[] = []
  #bytes = 0
  #flushing = false
  #closed = false

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** With so much in line nothing is added: what is given up meanwhile need not be sent. */
  get isFull(): boolean {
    return this.#queuedBytes() >= mostQueued
  }

  push(frames: Buffer): void {
    if (this.#closed) return
    this.#frames.push(frames)
    this.#bytes += frames.length
    if (this.#flushing) return
    this.#flushing = true
    process.nextTick(this.#flush)
  }

  /** Takes an answer to a frame. Throws when the other side asks for ever more of them and reads none. */
  pushAnswer(frame: Buffer): void {
    if (this.#queuedBytes() > 2 * mostQueued)
      throw new Http2Fault('calm', 'It does not read what it asks for')
    this.push(frame)
  }

  /** Sends what is left, perhaps a last frame too, as far as the socket takes it at once. */
  close(last?: Buffer): void {
    if (last !== undefined) this.push(last)
    this.#flush()
    this.#closed = true
    this.#socket.destroy()
  }

  #queuedBytes(): number {
    return this.#bytes + this.#socket.writableLength
  }

  readonly #flush = (): void => {
    this.#flushing = false
    const [only, ...more] = this.#frames
    if (only === undefined) return
    const bytes = more.length === 0 ? only : Buffer.concat(this.#frames)
    this.#frames = []
    this.#bytes = 0
    if (this.#socket.writable) this.#socket.write(bytes)
  }
}

const mostQueued = 1 << 20
