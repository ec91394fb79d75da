import type { Clock } from '../base/clock.ts'

/** Answers refusals at moments that say nothing about why. */
export interface RefusalClock {
  /**
   * Waits until the next moment at which refusals of this method are answered. `since` (monotonic) is when the
   * client asked. Ends early when `signal` fires. `typical`: not the outcome of something broken or overloaded,
   * whose slowness says nothing about a name and must not slow the answers after it.
   */
  hold(method: string, since: number, signal: AbortSignal, typical: boolean): Promise<void>
}

/** Remembered durations for each method. */
const window = 256
/** A slow refusal shapes the answers of the others for this long. */
const memoryMs = 2 * 60_000
const mostMs = 5_000

/**
 * Creates the clock. Refusals are answered at whole multiples of one interval after the question: at least
 * `leastMs`, and always longer than the slowest refusal seen lately. So neither the kind of hash, nor a plugin that
 * takes longer for names it knows, nor an account without any credential shows in the time of the answer.
 */
export function createRefusalClock(clock: Clock, leastMs: (method: string) => number): RefusalClock {
  const seen = new Map<string, { at: number; ms: number }[]>()
  const intervalOf = (method: string): number => {
    const slowest = (seen.get(method) ?? []).reduce((most, { ms }) => Math.max(most, ms), 0)
    return Math.max(leastMs(method), Math.min(mostMs, slowest * 1.3))
  }
  const remember = (method: string, ms: number): void => {
    const now = clock.monotonic()
    const kept = (seen.get(method) ?? []).filter(({ at }) => at > now - memoryMs)
    kept.push({ at: now, ms })
    // Of too many the fastest go: only the slowest decides.
    if (kept.length > window) kept.sort((a, b) => b.ms - a.ms).length = window / 2
    seen.set(method, kept)
  }
  return {
    hold(method, since, signal, typical) {
      const elapsed = clock.monotonic() - since
      if (typical) remember(method, elapsed)
      const interval = intervalOf(method)
      if (interval <= 0 || signal.aborted) return Promise.resolve()
      const wait = Math.ceil(elapsed / interval) * interval - elapsed
      return new Promise((resolve) => {
        const done = (): void => {
          cancel()
          signal.removeEventListener('abort', done)
          resolve()
        }
        const cancel = clock.after(wait, done)
        signal.addEventListener('abort', done, { once: true })
      })
    },
  }
}
