import { type Clock, systemClock } from '../base/clock.ts'

/** Values that are dear to get and not to be kept for long: opened secrets, and keys made of them. */
export interface WarmValues<T> {
  /** The value of `id`: the one that is kept, or what `make` gives. Those who ask meanwhile wait for the same call. */
  get(id: string, make: () => Promise<T>): Promise<T>
  /** Drops every value from memory. */
  forget(): void
}

/** How long values stay. */
export interface WarmValuesOptions {
  /** 0: only for those who asked meanwhile. */
  readonly keepMs: number
  readonly clock?: Clock
}

/** Most values in memory; the oldest goes first. */
const mostKept = 10_000

/** Keeps values in memory for `keepMs` after they came, and not a moment longer. A failure is not remembered. */
export function createWarmValues<T>({ keepMs, clock = systemClock }: WarmValuesOptions): WarmValues<T> {
  const kept = new Map<string, { until: number; readonly value: Promise<T> }>()
  return {
    get(id, make) {
      const known = kept.get(id)
      if (known !== undefined && known.until > clock.monotonic()) return known.value
      // Until it is here it is shared for as long as the call takes, and after that for the time that was set.
      const entry = { until: Number.POSITIVE_INFINITY, value: make() }
      const drop = (): void => {
        if (kept.get(id) === entry) kept.delete(id)
      }
      kept.delete(id)
      kept.set(id, entry)
      entry.value.then(() => {
        if (keepMs <= 0) return drop()
        entry.until = clock.monotonic() + keepMs
        // Who asks no more must not leave it in memory either.
        clock.after(keepMs, drop)
      }, drop)
      for (const oldest of kept.keys()) {
        if (kept.size <= mostKept) break
        kept.delete(oldest)
      }
      return entry.value
    },
    forget: () => kept.clear(),
  }
}
