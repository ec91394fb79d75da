import type { Socket } from 'node:net'
import type { SocketOutput } from './socket-output.ts'

/** Output a stranger may leave unread; then it is no client. */
const strangerBacklog = 64 * 1024
/** Output past which a client that does not read is not read either. */
const guestBacklog = 4 * 1024 * 1024
/** Answers held back by a key exchange that does not end. */
const mostHeldBytes = 1024 * 1024

/** Nobody makes us hold answers without end by not reading them: a stranger has to go, a guest is not read any more. */
export class OutputBounds {
  readonly #socket: Socket
  readonly #output: Pick<SocketOutput, 'backlog'>
  #paused = false

  constructor(socket: Socket, output: Pick<SocketOutput, 'backlog'>) {
    this.#socket = socket
    this.#output = output
  }

  /** Whether the peer is not read until it reads. */
  get paused(): boolean {
    return this.#paused
  }

  /** Why the peer has to go; undefined when it may stay. */
  excess(loggedIn: boolean, heldBytes: number): string | undefined {
    const { backlog } = this.#output
    if (heldBytes > mostHeldBytes) return 'too much held by a key exchange'
    if (!loggedIn) return backlog > strangerBacklog ? 'output not read before the login' : undefined
    if (backlog > guestBacklog && !this.#paused) {
      this.#paused = true
      this.#socket.pause()
    }
    return undefined
  }

  /** The peer read what waited. */
  drained(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket.resume()
  }
}
