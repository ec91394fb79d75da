import type { Clock } from '../base/clock.ts'

/** How many of a user's events go out together, and when. */
export interface Pace {
  /** How many of this stream may be told now. */
  together(stream: string): number
  /** How long to let more of this stream come first; 0: what is there goes at once. */
  gatherMs(stream: string): number
  /** A telling of so many has ended, begun at `began`. */
  ended(
    stream: string,
    telling: { readonly events: number; readonly began: number; readonly well: boolean },
  ): void
}

/** What a pace depends on. */
export interface PaceOptions {
  readonly clock: Pick<Clock, 'monotonic'>
  /** The most of a stream that the notifier takes together now. */
  readonly mostTogether: (stream: string) => number
}

/** A stream whose events take longer is told one at a time: many slow ones together would be over their time. */
export const quickMs = 10
/** Whoever had an event this lately has the next one soon. */
const flowMs = 100
/** What is in flow goes out this often; one that comes alone goes at once. */
const gatherMs = 20
/** Streams known to be quick; one that is forgotten is told one at a time first. */
const mostKnown = 1_000

/**
 * A stream begins with one event, and goes on with many when that was quick: a call that shares its system calls with
 * 31 others costs a tenth of one that is alone (measured: docs/decisions/056-events-together.md).
 */
export function createPace({ clock, mostTogether }: PaceOptions): Pace {
  /** When each was told last. */
  const quick = new Map<string, number>()
  return {
    together: (stream) => (quick.has(stream) ? mostTogether(stream) : 1),
    gatherMs(stream) {
      const last = quick.get(stream)
      if (last === undefined || mostTogether(stream) === 1) return 0
      return clock.monotonic() - last < flowMs ? gatherMs : 0
    },
    ended(stream, { events, began, well }) {
      quick.delete(stream)
      const now = clock.monotonic()
      if (!well || now - began > quickMs * events) return
      quick.set(stream, now)
      if (quick.size <= mostKnown) return
      const [oldest = ''] = quick.keys()
      quick.delete(oldest)
    },
  }
}
