/** Time as the program sees it; tests hand in one that they move. */
export interface Clock {
  /** Wall time in milliseconds since 1970; may jump. */
  now(): number
  /** Milliseconds that only grow; for durations. */
  monotonic(): number
  /** Runs `action` after `ms`; the returned function calls it off. */
  after(ms: number, action: () => void): () => void
}

/** The machine's time. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
