import { randomInt } from 'node:crypto'
import type { Clock } from '../base/clock.ts'

/** Answers refusals at moments that say nothing about why. */
export interface RefusalClock {
  /**
   * Waits until the next moment at which refusals of this method are answered. `since` (monotonic) is when the
   * client asked. Ends early when `signal` fires. `typical`: not the outcome of something broken or overloaded,
   * whose slowness says nothing about a name and must not slow the answers after it; nor has it to wait as long.
   */
  hold(method: string, since: number, signal: AbortSignal, typical: boolean): Promise<void>
}

/** Remembered durations for each method. */
const window = 256
/** A slow refusal shapes the answers of the others for this long. */
const memoryMs = 2 * 60_000
/** What is broken or overloaded says so in less than a second, so that a storm does not pile up waiting clients. */
const mostAtypicalMs = 500
/** All refusals due within one tick leave together, in random order. */
const tickMs = 5

/** Between what the interval of a method stays. */
export interface RefusalInterval {
  readonly leastMs: number
  readonly mostMs: number
}

/**
 * Creates the clock. Refusals are answered at whole multiples of one interval after the question: at least
 * `leastMs`, and always longer than the slowest refusal seen lately. So neither the kind of hash, nor a plugin that
 * takes longer for names it knows, nor an account without any credential shows in the time of the answer.
 *
 * Exact timers would still tell by fractions of a millisecond who was decided first (a rank test finds them), so
 * answers leave at the ticks of one common clock, shuffled.
 */
export function createRefusalClock(
  clock: Clock,
  boundsOf: (method: string) => RefusalInterval,
): RefusalClock {
  const seen = new Map<string, { at: number; ms: number }[]>()
  const due = new Map<number, (() => void)[]>()

  const intervalOf = (method: string): number => {
    const slowest = (seen.get(method) ?? []).reduce((most, { ms }) => Math.max(most, ms), 0)
    const { leastMs, mostMs } = boundsOf(method)
    return Math.max(leastMs, Math.min(mostMs, slowest * 1.3))
  }
  const remember = (method: string, ms: number): void => {
    const now = clock.monotonic()
    const kept = (seen.get(method) ?? []).filter(({ at }) => at > now - memoryMs)
    kept.push({ at: now, ms })
    // Of too many the fastest go: only the slowest decides.
    if (kept.length > window) kept.sort((a, b) => b.ms - a.ms).length = window / 2
    seen.set(method, kept)
  }
  const atTick = (tick: number, action: () => void): void => {
    const waiting = due.get(tick)
    if (waiting !== undefined) return void waiting.push(action)
    due.set(tick, [action])
    clock.after(Math.max(0, tick * tickMs - clock.monotonic()), () => {
      const actions = due.get(tick) ?? []
      due.delete(tick)
      shuffle(actions)
      for (const one of actions) one()
    })
  }
  return {
    hold(method, since, signal, typical) {
      const elapsed = clock.monotonic() - since
      if (typical) remember(method, elapsed)
      const interval = typical ? intervalOf(method) : Math.min(mostAtypicalMs, boundsOf(method).leastMs)
      if (interval <= 0 || signal.aborted) return Promise.resolve()
      const target = since + Math.ceil(elapsed / interval) * interval
      return new Promise((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done)
          resolve()
        }
        signal.addEventListener('abort', done, { once: true })
        atTick(Math.ceil(target / tickMs), done)
      })
    },
  }
}

function shuffle(list: unknown[]): void {
  for (let last = list.length - 1; last > 0; last--) {
    const other = randomInt(last + 1)
    ;[list[last], list[other]] = [list[other], list[last]]
  }
}
