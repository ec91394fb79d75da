import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { Database } from '../database/open-database.ts'
import type { Step } from '../database/writer.ts'
import type { Budget } from './budget.ts'
import { bestEffortActions } from './stored-event.ts'

/** How long events stay after everybody heard them, and how long parked ones do. */
export interface RetentionOptions {
  readonly database: Database
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly budget: Budget
  readonly notifiers: () => readonly string[]
  /** Told and parked events older than this are removed. */
  readonly maxAgeMs: number
  /** The oldest told events are removed while events take more than this. */
  readonly maxBytes: number
  /** At the disk budget: whether events that promise nothing are removed before anybody heard them. */
  readonly dropsBestEffort: boolean
}

/** Keeps the tables of events small. */
export interface Retention {
  /** One round; also runs by itself every ten seconds. */
  sweep(): Promise<void>
  /** Something was refused for want of room: a round now, where none began just before. */
  hurry(): void
  close(): void
}

/** Rows removed in one write: short enough that nobody's CLOSE waits for it. */
const page = 200
const everyMs = 10_000
const hurryMs = 200
/** What everybody heard takes this much of the disk budget at most: for the sake of replays nobody is refused. */
const mostTold = 0.75

const sql = {
  toldBefore:
    'delete from outbox where seq in (select seq from outbox where owed = 0 and created_ms < ? order by created_ms limit ?)',
  parkedBefore: 'select notifier, seq from parked where since_ms < ? order by since_ms limit ?',
  unpark: 'delete from parked where notifier = ? and seq = ?',
  owedLess: 'update outbox set owed = owed - 1 where seq = ?',
  bestEffort: `select seq, stream, action from outbox where seq > ? and owed > 0 and action in (${bestEffortActions.map(() => '?').join(', ')}) order by seq limit ?`,
  forget: 'delete from delivery where notifier = ? and stream = ? and seq = ?',
  forgetEvent: 'delete from outbox where seq = ?',
} as const

/** Starts removing what nobody needs any more. */
export function startRetention(options: RetentionOptions): Retention {
  const { database, clock, log, meter, budget, notifiers, maxAgeMs, maxBytes } = options
  const parked = database.query<{ notifier: string; seq: number }>(sql.parkedBefore)
  const bestEffort = database.query<{ seq: number; stream: string; action: string }>(sql.bestEffort)
  const closing = new AbortController()
  let dropped = 0
  let cancel = (): void => {}
  const write = async (steps: readonly Step[]): Promise<number> => {
    const result = await database.writer.write(steps, { durable: false })
    return result.applied ? (result.changes[0] ?? 0) : 0
  }
  let underway: Promise<void> | undefined
  let hurriedAt = -Infinity
  schedule()
  return {
    sweep,
    hurry() {
      const now = clock.monotonic()
      if (now - hurriedAt < hurryMs) return
      hurriedAt = now
      sweep().catch(failed)
    },
    close() {
      closing.abort()
      cancel()
    },
  }

  function schedule(): void {
    cancel = clock.after(everyMs, () => {
      sweep().then(schedule, (error: unknown) => {
        failed(error)
        if (!closing.signal.aborted) schedule()
      })
    })
  }

  function failed(error: unknown): void {
    log.error('events cannot be swept', { error })
  }

  function sweep(): Promise<void> {
    underway ??= sweepOnce().finally(() => (underway = undefined))
    return underway
  }

  async function sweepOnce(): Promise<void> {
    const before = clock.now() - maxAgeMs
    await removeTold(before, () => true)
    await removeParked(before, () => true)
    const most = Math.min(maxBytes, budget.mostBytes * mostTold)
    const tooMuch = (): boolean => budget.usedBytes > most
    await removeTold(Infinity, tooMuch)
    if (budget.isFull) {
      await removeParked(Infinity, () => budget.isFull)
      if (options.dropsBestEffort) await removeBestEffort()
    }
  }

  async function removeTold(before: number, goesOn: () => boolean): Promise<void> {
    const limit = Math.min(before, Number.MAX_SAFE_INTEGER)
    while (!closing.signal.aborted && goesOn()) {
      const removed = await write([{ sql: sql.toldBefore, values: [limit, page] }])
      if (removed < page) return
    }
  }

  async function removeParked(before: number, goesOn: () => boolean): Promise<void> {
    while (!closing.signal.aborted && goesOn()) {
      const rows = parked.all(Math.min(before, Number.MAX_SAFE_INTEGER), page)
      if (rows.length === 0) return
      await write(
        rows.flatMap(({ notifier, seq }) => [
          { sql: sql.unpark, values: [notifier, seq] },
          { sql: sql.owedLess, values: [seq] },
        ]),
      )
      log.error('parked events removed', { count: rows.length, oldest_sequence: rows[0]?.seq })
      await removeTold(before, goesOn)
    }
  }

  async function removeBestEffort(): Promise<void> {
    for (let last = 0; !closing.signal.aborted && budget.isFull;) {
      const rows = bestEffort.all(last, ...bestEffortActions, page)
      if (rows.length === 0) return
      last = rows.at(-1)?.seq ?? last
      await write(
        rows.flatMap(({ seq, stream }) => [
          ...notifiers().map((name) => ({ sql: sql.forget, values: [name, stream, seq] })),
          { sql: sql.forgetEvent, values: [seq] },
        ]),
      )
      dropped += rows.length
      for (const { action } of rows) meter.add('sftpgo_events_dropped_total', 1, { action })
      log.warn('best effort events dropped', { count: rows.length, since_start: dropped })
    }
  }
}
