import type { Socket } from 'node:net'
import type { PacketPool } from './packet-pool.ts'

/** What the turns of a socket need. */
export interface SocketTurnsOptions {
  readonly socket: Socket
  readonly pool: PacketPool
  /** Ends a turn that was planned, and sees to what that may throw. */
  readonly endPlanned: () => void
}

const nothing = Buffer.alloc(0)

/** A socket's output, gathered by turns of the event loop: one system call for the packets of a turn. */
export class SocketTurns {
  readonly #options: SocketTurnsOptions
  #receiving = false
  #corked = false
  #planned = false
  #actions: (() => void)[] = []
  /** The pool's memory that this turn's packets lie in. */
  #lent: Buffer[] = []

  constructor(options: SocketTurnsOptions) {
    this.#options = options
  }

  /** What is written until `endReceiving` leaves there, in one piece. */
  beginReceiving(): void {
    this.#receiving = true
  }

  endReceiving(): void {
    this.#receiving = false
    this.finish()
  }

  /** Bytes for the socket; `lent` goes back to the pool when they are sent. */
  write(bytes: Uint8Array, lent: Buffer | undefined): void {
    const { socket } = this.#options
    if (lent !== undefined) this.#lent.push(lent)
    if (!this.#corked) {
      this.#corked = true
      socket.cork()
      this.#plan()
    }
    socket.write(bytes)
  }

  /** Runs `action` before the turn's bytes leave. */
  atEnd(action: () => void): void {
    this.#actions.push(action)
    this.#plan()
  }

  /** Ends the turn now. */
  finish(): void {
    const actions = this.#actions
    if (actions.length > 0) {
      this.#actions = []
      for (const action of actions) action()
    }
    if (this.#corked) {
      this.#corked = false
      if (this.#lent.length > 0) this.#giveBackWhenSent()
      this.#options.socket.uncork()
    }
    if (this.#actions.length > 0) this.#plan()
  }

  /** Forgets what was to run at the end of the turn. */
  drop(): void {
    this.#actions = []
  }

  #plan(): void {
    if (this.#receiving || this.#planned) return
    this.#planned = true
    setImmediate(() => {
      this.#planned = false
      this.#options.endPlanned()
    })
  }

  /** The pool's memory of this turn is free when everything up to here is sent; on an error it is left to the collector. */
  #giveBackWhenSent(): void {
    const lent = this.#lent
    this.#lent = []
    const { socket, pool } = this.#options
    socket.write(nothing, (error) => {
      if (!error) for (const slab of lent) pool.give(slab)
    })
  }
}
