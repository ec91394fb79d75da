import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'

/** Whether a notifier as a whole is worth calling. */
export interface Breaker {
  /** Most calls that may be under way now; 0 while it is away. */
  mostCalls(): number
  /** A call told the event. True when everyone who waits may try again at once. */
  succeeded(): boolean
  /** The notifier answered, but not with OK. */
  failed(): void
  /** The notifier could not be reached. `probe` is called when the next try is due. */
  unavailable(probe: () => void): void
  /** The notifier is known to be back. */
  reset(): void
  close(): void
}

/** Failures in a row, of whatever events, after which few calls go out at once. */
const manyFailures = 8
/** How many then still go out: a user with good events is not held up behind one whose events hang. */
const cautiousCalls = 4

/**
 * One notifier's breaker. Unreachable: nobody calls but one probe per interval, a quarter of a second at first and
 * five seconds at most. Reachable but failing everything: a few calls at once.
 */
export function createBreaker(clock: Clock, mostCalls: number, random?: () => number): Breaker {
  let inARow = 0
  let away: { readonly failures: number; probing: boolean; readonly cancel: () => void } | undefined
  const back = (): void => {
    away?.cancel()
    away = undefined
  }
  return {
    mostCalls() {
      if (away !== undefined) return away.probing ? 1 : 0
      return inARow >= manyFailures ? Math.min(cautiousCalls, mostCalls) : mostCalls
    },
    succeeded() {
      const wasTroubled = away !== undefined || inARow >= manyFailures
      back()
      inARow = 0
      return wasTroubled
    },
    failed() {
      back()
      inARow += 1
    },
    unavailable(probe) {
      // Many calls fail together when a process goes: they are one failure.
      if (away !== undefined && !away.probing) return
      const failures = (away?.failures ?? 0) + 1
      const wait = backoffMs(failures, { firstMs: 250, mostMs: 5_000, ...(random ? { random } : {}) })
      const cancel = clock.after(wait, () => {
        if (away === undefined) return
        away.probing = true
        probe()
      })
      away = { failures, probing: false, cancel }
    },
    reset: back,
    close: back,
  }
}
