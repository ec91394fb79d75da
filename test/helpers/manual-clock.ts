import type { Clock } from '../../src/base/clock.ts'

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Runs everything due within the next `ms`, oldest first, without a turn of the event loop between. */
  advance(ms: number): void
  /** Goes to the next thing due and runs it; false when nothing is. */
  next(): boolean
}

interface Timer {
  readonly at: number
  readonly action: () => void
}

/** Creates a clock that starts at `start`. */
export function manualClock(start = 1_700_000_000_000): ManualClock {
  let now = start
  let timers: Timer[] = []
  const earliest = (): Timer | undefined => {
    let first: Timer | undefined
    for (const timer of timers) if (first === undefined || timer.at < first.at) first = timer
    return first
  }
  const run = (timer: Timer): void => {
    timers = timers.filter((one) => one !== timer)
    now = Math.max(now, timer.at)
    timer.action()
  }
  return {
    now: () => now,
    monotonic: () => now - start,
    after(ms, action) {
      const timer = { at: now + ms, action }
      timers.push(timer)
      return () => {
        timers = timers.filter((one) => one !== timer)
      }
    },
    advance(ms) {
      const end = now + ms
      for (let timer = earliest(); timer !== undefined && timer.at <= end; timer = earliest()) run(timer)
      now = end
    },
    next() {
      const timer = earliest()
      if (timer !== undefined) run(timer)
      return timer !== undefined
    },
  }
}
