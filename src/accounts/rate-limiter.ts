import type { Clock } from '../base/clock.ts'

/** Says how long an arrival has to wait, or that it comes too often. */
export interface RateLimiter {
  /** Milliseconds to wait, 0 mostly; undefined when the arrival is too much. */
  delayFor(address: string): number | undefined
}

/** SFTPGo's settings of a limiter. */
export interface RateLimiterOptions {
  /** Arrivals in each period; 0 switches the limiter off. */
  readonly average: number
  readonly periodMs: number
  /** How many may come at once. */
  readonly burst: number
  /** Counts each address, or all together. */
  readonly per: 'address' | 'server'
  /** How many addresses are remembered at most. */
  readonly mostSources: number
  /** Never limited. */
  readonly isSafe: (address: string) => boolean
}

/** Longest wait, as in SFTPGo. */
const mostDelayMs = 10_000

/** Creates a limiter: a bucket of `burst` tokens that refills at the average rate. */
export function createRateLimiter(options: RateLimiterOptions, clock: Clock): RateLimiter {
  const perMs = options.average / options.periodMs
  const sources = new Map<string, { tokens: number; at: number }>()
  // As in SFTPGo: half of the time that one token takes to come, at most ten seconds.
  const patienceMs = options.average > 0 ? Math.min(mostDelayMs, 1 / perMs / 2) : 0

  return {
    delayFor(address) {
      if (options.average <= 0 || options.isSafe(address)) return 0
      const key = options.per === 'address' ? address : ''
      const now = clock.monotonic()
      const source = sources.get(key) ?? { tokens: options.burst, at: now }
      sources.delete(key)
      sources.set(key, source)
      if (sources.size > options.mostSources) {
        const [oldest] = sources.keys()
        if (oldest !== undefined) sources.delete(oldest)
      }
      source.tokens = Math.min(options.burst, source.tokens + (now - source.at) * perMs)
      source.at = now
      const delay = source.tokens >= 1 ? 0 : (1 - source.tokens) / perMs
      if (delay > patienceMs) return undefined
      source.tokens -= 1
      return delay
    },
  }
}
