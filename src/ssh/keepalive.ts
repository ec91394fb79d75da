/** How a peer is asked whether it is still there. */
export interface KeepaliveOptions {
  /** Milliseconds of silence after which it is asked; 0: never. */
  readonly everyMs: number
  readonly mostUnanswered: number
  readonly now: number
  /** Sends a question that every client answers. */
  ask(): void
}

/** Notices by its silence that a peer is gone without a word. */
export class Keepalive {
  readonly #options: KeepaliveOptions
  #heardSince = true
  #unanswered = 0
  #lastHeard: number
  #lastProbe: number
  /** Our questions that are not answered yet, oldest first. */
  readonly #asked: (() => void)[] = []

  constructor(options: KeepaliveOptions) {
    this.#options = options
    this.#lastHeard = this.#lastProbe = options.now
  }

  /** Bytes came in: cheap, as it happens for each piece. */
  heard(): void {
    this.#heardSince = true
  }

  /** Notes whether anything was heard since the last call. */
  settle(now: number): void {
    if (!this.#heardSince) return
    this.#heardSince = false
    this.#unanswered = 0
    this.#lastHeard = now
  }

  /** Asks a silent peer; false once it left too many questions unanswered. */
  probe(now: number): boolean {
    const { everyMs, mostUnanswered } = this.#options
    if (everyMs <= 0 || now - Math.max(this.#lastHeard, this.#lastProbe) < everyMs) return true
    if (this.#unanswered >= mostUnanswered) return false
    this.#unanswered += 1
    this.#lastProbe = now
    this.ask(() => {})
    return true
  }

  /** Asks now; `answered` runs when the answer to this very question is there. */
  ask(answered: () => void): void {
    this.#asked.push(answered)
    this.#options.ask()
  }

  /** An answer came in. */
  answered(): void {
    this.#asked.shift()?.()
  }
}
