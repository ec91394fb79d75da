import type { Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Outbox, OwedRow, WrittenEvent } from './outbox.ts'

/** What receipts need. */
export interface ReceiptsOptions {
  readonly store: Outbox
  readonly clock: Clock
  readonly log: Logger
}

/** An outbox that notes what was told many at a time. */
export interface OutboxWithReceipts extends Outbox {
  /** Notes everything that was told so far. Rejects when the database does not take it. */
  settle(): Promise<void>
  /**
   * Leaves out who was told already: a page may have had an event before the answer came that it is written. It is still
   * pending then, because notes are written after it.
   */
  untold(event: WrittenEvent): WrittenEvent
}

interface Receipt {
  readonly notifier: string
  readonly row: OwedRow
}

const noteAfterMs = 20
const retryMs = 500
/** So many are worth a write; it goes on beside the next calls. */
const manyPending = 32
/** Beyond this telling waits for the database: after a crash these are told again. */
const mostPending = 256

/**
 * An event that was told is noted soon after, with others, and the next call does not wait for it: a note of its own
 * for each took two changes of threads, which is half of the time of a user whose events come one at a time
 * (measured: docs/decisions/023-receipts.md). What was told and not yet noted is told again after a crash.
 */
export function withReceipts({ store, clock, log }: ReceiptsOptions): OutboxWithReceipts {
  /** By the event's number. */
  const pending = new Map<number, Receipt[]>()
  let size = 0
  let underway: Promise<void> | undefined
  let cancel: (() => void) | undefined

  return {
    ...store,
    async acknowledge(notifier, row) {
      if (isPending(notifier, row.seq)) return
      pending.set(row.seq, [...(pending.get(row.seq) ?? []), { notifier, row }])
      size += 1
      if (size < manyPending) return plan(noteAfterMs)
      const noting = note()
      if (size >= mostPending) await noting
      else noting.catch(wasSaid)
    },
    page(notifier, stream, most) {
      let told = 0
      for (const receipts of pending.values()) {
        for (const receipt of receipts)
          if (receipt.notifier === notifier && receipt.row.stream === stream) told += 1
      }
      const rows = store.page(notifier, stream, most + told)
      return told === 0 ? rows : rows.filter(({ seq }) => !isPending(notifier, seq)).slice(0, most)
    },
    waiting(notifier) {
      let told = 0
      for (const receipts of pending.values()) {
        // One that is just being noted may be gone from the table already.
        for (const receipt of receipts)
          if (receipt.notifier === notifier && store.owes(notifier, receipt.row)) told += 1
      }
      return store.waiting(notifier) - told
    },
    untold({ row, notifiers }) {
      return { row, notifiers: notifiers.filter((name) => !isPending(name, row.seq)) }
    },
    async settle() {
      while (pending.size > 0) await note()
      cancel?.()
      cancel = undefined
    },
  }

  function isPending(notifier: string, seq: number): boolean {
    return pending.get(seq)?.some((receipt) => receipt.notifier === notifier) ?? false
  }

  function plan(afterMs: number): void {
    cancel ??= clock.after(afterMs, () => {
      cancel = undefined
      note().catch(wasSaid)
    })
  }

  /** Notes all that is pending now. One at a time. */
  function note(): Promise<void> {
    underway ??= noteAll().finally(() => {
      underway = undefined
    })
    return underway
  }

  async function noteAll(): Promise<void> {
    const batch = [...pending.values()].flat()
    const outcomes = await Promise.allSettled(
      batch.map(async ({ notifier, row }) => {
        await store.acknowledge(notifier, row)
        forget(notifier, row.seq)
      }),
    )
    const failure = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failure !== undefined) {
      log.error('delivery cannot be noted', { error: messageOf(failure.reason) })
      cancel?.()
      cancel = undefined
      plan(retryMs)
      throw failure.reason
    }
    if (size > 0) plan(noteAfterMs)
  }

  function forget(notifier: string, seq: number): void {
    const left = (pending.get(seq) ?? []).filter((receipt) => receipt.notifier !== notifier)
    if (left.length > 0) pending.set(seq, left)
    else pending.delete(seq)
    size -= 1
  }
}

/** A failure stands in the log, and is tried again by itself. */
function wasSaid(): void {}
