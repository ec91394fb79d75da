import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'

/** How often, and after what wait, a plugin that ends is started again. */
export interface RestartPace {
  /** First wait after a failure, and the longest. */
  readonly firstRestartMs: number
  readonly mostRestartMs: number
  /** So many starts in such a time, then it is over. */
  readonly mostStarts: number
  readonly startsWithinMs: number
  /** A life of this length forgives the failures before it. */
  readonly forgivenAfterMs: number
}

/** Counts starts and failures of one plugin. */
export class RestartPolicy {
  readonly #pace: RestartPace
  readonly #clock: Clock
  readonly #starts: number[] = []
  #failures = 0

  constructor(pace: RestartPace, clock: Clock) {
    this.#pace = pace
    this.#clock = clock
  }

  /** Counts a start, or says that there were too many of late. */
  mayStart(): boolean {
    const now = this.#clock.monotonic()
    const begin = now - this.#pace.startsWithinMs
    while (this.#starts[0] !== undefined && this.#starts[0] <= begin) this.#starts.shift()
    if (this.#starts.length >= this.#pace.mostStarts) return false
    this.#starts.push(now)
    return true
  }

  /** Counts a failure and says how long to wait. */
  waitMs(): number {
    this.#failures += 1
    return backoffMs(this.#failures, { firstMs: this.#pace.firstRestartMs, mostMs: this.#pace.mostRestartMs })
  }

  /** A process was ready for so long. */
  noteLife(ms: number): void {
    if (ms >= this.#pace.forgivenAfterMs) this.#failures = 0
  }

  /** Somebody wants it to be tried again. */
  forgive(): void {
    this.#starts.length = 0
    this.#failures = 0
  }

  /** The limit in words. */
  get limit(): string {
    const { mostStarts, startsWithinMs } = this.#pace
    return `${mostStarts} times in ${startsWithinMs / 60_000} minutes`
  }
}
