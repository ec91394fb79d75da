import type { EndedCall } from './call-gate.ts'

/** How the calls to a plugin ended. */
export interface CallTally {
  note(call: EndedCall): void
  /** Calls that missed their deadline since the plugin last said anything. */
  readonly missedInARow: number
  readonly answered: number
  readonly failed: number
  /** A new process: what the last one missed does not count against it. */
  startOver(): void
}

/** Outcomes that say nothing about whether the plugin still answers. */
const silent: readonly EndedCall['outcome'][] = ['exited', 'cancelled', 'overloaded', 'stopped']
const answers: readonly EndedCall['outcome'][] = ['answered', 'refused', 'refused-or-failed']

/** Creates a tally. */
export function createCallTally(): CallTally {
  let missedInARow = 0
  let answered = 0
  let failed = 0
  return {
    note({ outcome }) {
      if (outcome === 'deadline') missedInARow += 1
      else if (!silent.includes(outcome)) missedInARow = 0
      if (answers.includes(outcome)) answered += 1
      else failed += 1
    },
    get missedInARow() {
      return missedInARow
    },
    get answered() {
      return answered
    },
    get failed() {
      return failed
    },
    startOver() {
      missedInARow = 0
    },
  }
}
