import type { OwedRow } from './outbox.ts'

/** What came of telling events once. */
export interface TellOutcome {
  /** So many of them, the oldest. */
  readonly told: number
  /** Why the next one was not, when there is a next one. */
  readonly failure?: TellFailure
}

/** Why an event was not told. */
export interface TellFailure {
  /** The notifier as a whole could not be reached. */
  readonly unavailable: boolean
  /** The call may have reached it, so this counts as a try of this event. */
  readonly counts: boolean
  readonly reason: string
}

/** One notifier as the relay sees it. */
export interface RelayTarget {
  readonly name: string
  readonly atOnce: number
  readonly maxAttempts: number
  /** A failed event older than this is parked. Left out: never for its age. */
  readonly parkAfterMs?: number
  /** More waiting events than this are an alarm in the log. Left out: none. */
  readonly alarmAbove?: number
  isReady(): boolean
  /** How many events of this stream the ready one takes together. */
  mostTogether(stream: string): number
  /** Tells these, of one stream, in order. Never rejects and always ends. */
  tell(rows: readonly OwedRow[], attempt: number, signal: AbortSignal): Promise<TellOutcome>
}

/** What is owed, and where it is noted that it was paid. */
export interface RelayStore {
  page(notifier: string, stream: string, most: number): readonly OwedRow[]
  streamsAfter(notifier: string, stream: string, most: number): readonly string[]
  /** How many events a notifier is owed. Counts every row. */
  waiting(notifier: string): number
  acknowledge(notifier: string, row: OwedRow): Promise<void>
  park(notifier: string, row: OwedRow, attempts: number, reason: string): Promise<void>
  failed(notifier: string, row: OwedRow, attempts: number): Promise<void>
}
