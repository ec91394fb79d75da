import type { SocketOutput } from './socket-output.ts'

/** A socket's output, gathered by turns of the event loop: one system call for the packets of a turn. */
export class SocketTurns {
  readonly #output: SocketOutput
  readonly #endPlanned: () => void
  #receiving = false
  #planned = false
  #actions: (() => void)[] = []

  /** `endPlanned` ends a turn that was planned, and sees to what that may throw. */
  constructor(output: SocketOutput, endPlanned: () => void) {
    this.#output = output
    this.#endPlanned = endPlanned
  }

  /** What is written until `endReceiving` leaves there, in one piece. */
  beginReceiving(): void {
    this.#receiving = true
  }

  endReceiving(): void {
    this.#receiving = false
    this.finish()
  }

  /** Bytes for the socket, which leave at the end of the turn. */
  write(bytes: Uint8Array): void {
    this.#output.write(bytes)
    this.#plan()
  }

  /** Runs `action` before the turn's bytes leave. */
  atEnd(action: () => void): void {
    this.#actions.push(action)
    this.#plan()
  }

  /** Ends the turn now. */
  finish(): void {
    if (this.#actions.length > 0) {
      const actions = this.#actions
      this.#actions = []
      for (const action of actions) action()
    }
    this.#output.flush()
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
      this.#endPlanned()
    })
  }
}
