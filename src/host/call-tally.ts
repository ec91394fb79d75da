import type { Clock } from '../base/clock.ts'
import type { EndedCall } from './call-gate.ts'

/** How the calls to a plugin ended. */
export interface CallTally {
  note(call: EndedCall): void
  /** Calls that missed their deadline since the plugin last said anything. */
  readonly missedInARow: number
  /** For how long it has left calls unanswered; 0 until one has missed its deadline. */
  readonly silentMs: number
  readonly answered: number
  readonly failed: number
  /** A new process: what the last one missed does not count against it. */
  startOver(): void
}

/** Outcomes that say nothing about whether the plugin still answers. */
const silent: readonly EndedCall['outcome'][] = ['exited', 'cancelled', 'overloaded', 'stopped']
const answers: readonly EndedCall['outcome'][] = ['answered', 'refused', 'refused-or-failed']

/** Creates a tally. */
export function createCallTally(clock: Pick<Clock, 'monotonic'>): CallTally {
  let missedInARow = 0
  /** When the plugin last said something, and when the oldest question since began. */
  let heardAt = clock.monotonic()
  let silentSince = heardAt
  let answered = 0
  let failed = 0
  return {
    note({ outcome, tookMs }) {
      const now = clock.monotonic()
      if (outcome === 'deadline') {
        if (missedInARow === 0) silentSince = Math.max(heardAt, now - tookMs)
        missedInARow += 1
      } else if (!silent.includes(outcome)) {
        missedInARow = 0
        heardAt = now
      }
      if (answers.includes(outcome)) answered += 1
      else failed += 1
    },
    get missedInARow() {
      return missedInARow
    },
    get silentMs() {
      return missedInARow === 0 ? 0 : clock.monotonic() - silentSince
    },
    get answered() {
      return answered
    },
    get failed() {
      return failed
    },
    startOver() {
      missedInARow = 0
      heardAt = clock.monotonic()
    },
  }
}
