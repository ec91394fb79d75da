import type { Soon } from '../base/soon.ts'
import { databaseErrorOf } from '../database/database-error.ts'
import type { Database } from '../database/open-database.ts'
import type { Step, WriteResult } from '../database/writer.ts'
import type { FileEvent, ServerEvent } from './event.ts'
import type { FileIntent, IntentCheck } from './event-log.ts'
import { isOwed, type NotifierEntry } from './notifier-entry.ts'
import type { Debts, StreamHead } from './oldest-waiting.ts'
import { actionOf, eventOfPayload, payloadOf, streamOf } from './stored-event.ts'

/** One event that a notifier is still owed. */
export interface OwedRow {
  readonly seq: number
  readonly id: string
  readonly stream: string
  readonly createdMs: number
  readonly payload: string
  /** What `payload` says, while it is in memory. */
  readonly event?: ServerEvent
  /** How often telling it has failed so far. */
  readonly attempts: number
}

/** An intent of an earlier life of the program. */
export interface OpenIntent {
  readonly id: string
  readonly event: FileEvent
  readonly check: IntentCheck
  readonly createdMs: number
}

/** An event that was just written down, and who is owed it. */
export interface WrittenEvent {
  readonly row: OwedRow
  readonly notifiers: readonly string[]
}

/** Where intents and events are written down. */
export interface EventNotes {
  intend(id: string, intent: FileIntent, createdMs?: number): Soon<void>
  forgetIntent(id: string): Soon<void>
  /** Writes an event down for everyone who wants it, and ends its intent. Calling it again changes nothing. */
  add(id: string, event: ServerEvent, createdMs?: number): Soon<void>
}

/** The tables of events: what is intended, what happened, who has still to hear it. */
export interface Outbox extends EventNotes {
  /** Intents of earlier lives, oldest first. */
  openIntents(most: number): readonly OpenIntent[]
  /** The oldest events of a stream that a notifier is owed. */
  page(notifier: string, stream: string, most: number): readonly OwedRow[]
  /** Streams in which a notifier is owed something, by name, after `stream`. */
  streamsAfter(notifier: string, stream: string, most: number): readonly string[]
  acknowledge(notifier: string, row: OwedRow): Promise<void>
  park(notifier: string, row: OwedRow, attempts: number, reason: string): Promise<void>
  failed(notifier: string, row: OwedRow, attempts: number): Promise<void>
  /** What one notifier is owed, by stream. */
  debtsOf(notifier: string): Debts
  /** How many events a notifier is owed. Counts every row. */
  waiting(notifier: string): number
  /** Whether a notifier is still owed this one. */
  owes(notifier: string, event: StreamHead): boolean
  parked(notifier: string): number
  /** Grows when another process changed what is owed. */
  generation(): number
}

/** What the outbox needs. */
export interface OutboxOptions {
  readonly database: Database
  /** Who is told, asked at each event. */
  readonly notifiers: () => readonly NotifierEntry[]
  readonly durable: boolean
  readonly now: () => number
  /** Hears of each event as soon as it is written down, in the order of their numbers. */
  readonly written: (event: WrittenEvent) => void
}

const sql = {
  // One that is taken over from a journal may have been taken over before.
  intend:
    'insert into event_intent (event_id, payload, expectation, created_ms) values (?, ?, ?, ?) on conflict do nothing',
  forgetIntent: 'delete from event_intent where event_id = ?',
  openIntents:
    'select event_id, payload, expectation, created_ms from event_intent order by event_id limit ?',
  insert:
    'insert into outbox (event_id, stream, action, payload, created_ms, owed) values (?, ?, ?, ?, ?, ?) on conflict do nothing returning seq',
  owe: 'insert into delivery (notifier, stream, seq) values (?, ?, last_insert_rowid())',
  page: `select d.seq as seq, d.attempts as attempts, o.event_id as id, o.stream as stream, o.created_ms as createdMs,
      o.payload as payload
    from delivery d join outbox o on o.seq = d.seq where d.notifier = ? and d.stream = ? order by d.seq limit ?`,
  nextStream: 'select stream from delivery where notifier = ? and stream > ? order by stream limit 1',
  paid: 'delete from delivery where notifier = ? and stream = ? and seq = ?',
  owedLess: 'update outbox set owed = owed - 1 where seq = ?',
  park: 'insert or replace into parked (notifier, seq, attempts, reason, since_ms) values (?, ?, ?, ?, ?)',
  failed: 'update delivery set attempts = ? where notifier = ? and stream = ? and seq = ?',
  // From stream to stream in the index: looking at every row would take as long as there are events.
  heads: `with recursive streams (stream) as (
      select min(stream) from delivery where notifier = ?1 and stream > ?2
      union all
      select (select min(d.stream) from delivery d where d.notifier = ?1 and d.stream > streams.stream)
        from streams where streams.stream is not null limit ?3
    )
    select stream, (select min(seq) from delivery d where d.notifier = ?1 and d.stream = streams.stream) as seq
      from streams where stream is not null`,
  written: 'select created_ms as createdMs from outbox where seq = ?',
  waiting: 'select count(*) as n from delivery where notifier = ?',
  owes: 'select count(*) as n from delivery where notifier = ? and stream = ? and seq = ?',
  parked: 'select count(*) as n from parked where notifier = ?',
  generation: 'select generation from event_signal where id = 1',
} as const

/** Opens the tables of events. Throws and rejects with `DatabaseError`. */
export function createOutbox(options: OutboxOptions): Outbox {
  const { database, durable, now } = options
  const page = database.query<OwedRow>(sql.page)
  const nextStream = database.query<{ stream: string }>(sql.nextStream)
  const waiting = database.query<{ n: number }>(sql.waiting)
  const owes = database.query<{ n: number }>(sql.owes)
  const heads = database.query<StreamHead>(sql.heads)
  const written = database.query<{ createdMs: number }>(sql.written)
  const parked = database.query<{ n: number }>(sql.parked)
  const generation = database.query<{ generation: number }>(sql.generation)
  const write = (steps: readonly Step[]): Promise<WriteResult> => database.writer.write(steps, { durable })
  // What is told twice after a power failure does no harm, so nobody waits for the disk here.
  const writeSoftly = (steps: readonly Step[]): Promise<WriteResult> =>
    database.writer.write(steps, { durable: false })

  const isOwing = (notifier: string, { stream, seq }: StreamHead): boolean =>
    (owes.get(notifier, stream, seq)?.n ?? 0) > 0

  return {
    async intend(id, { event, check }, createdMs = now()) {
      await write([{ sql: sql.intend, values: [id, payloadOf(event), JSON.stringify(check), createdMs] }])
    },
    async forgetIntent(id) {
      await writeSoftly([{ sql: sql.forgetIntent, values: [id] }])
    },
    async add(id, event, createdMs = now()) {
      const notifiers = options
        .notifiers()
        .filter((entry) => isOwed(entry, event))
        .map(({ name }) => name)
      if (notifiers.length === 0) return this.forgetIntent(id)
      const row = { id, stream: streamOf(event), createdMs, payload: payloadOf(event), attempts: 0 }
      const { stream, payload } = row
      const result = await write([
        {
          sql: sql.insert,
          values: [id, stream, actionOf(event), payload, createdMs, notifiers.length],
          returnsRows: true,
          // Nothing new means that it stands there already: an answer was lost and the write came again.
          mustChange: true,
        },
        ...notifiers.map((name) => ({ sql: sql.owe, values: [name, stream] })),
        { sql: sql.forgetIntent, values: [id] },
      ])
      if (!result.applied) return this.forgetIntent(id)
      const seq = result.rows[0]?.[0]?.['seq']
      if (typeof seq === 'number') options.written({ row: { ...row, seq }, notifiers })
    },
    openIntents: (most) => database.query<IntentRow>(sql.openIntents).all(most).map(openIntentOf),
    page: (notifier, stream, most) => page.all(notifier, stream, most),
    streamsAfter(notifier, stream, most) {
      const found: string[] = []
      // One step into the index for each stream: what waits within a stream costs nothing here.
      for (let last = stream; found.length < most;) {
        const next = nextStream.get(notifier, last)?.stream
        if (next === undefined) break
        found.push(next)
        last = next
      }
      return found
    },
    async acknowledge(notifier, { stream, seq }) {
      await writeSoftly([
        { sql: sql.paid, values: [notifier, stream, seq], mustChange: true },
        { sql: sql.owedLess, values: [seq] },
      ])
    },
    async park(notifier, { stream, seq }, attempts, reason) {
      await write([
        { sql: sql.paid, values: [notifier, stream, seq], mustChange: true },
        { sql: sql.park, values: [notifier, seq, attempts, reason, now()] },
      ])
    },
    async failed(notifier, { stream, seq }, attempts) {
      await writeSoftly([{ sql: sql.failed, values: [attempts, notifier, stream, seq] }])
    },
    waiting: (notifier) => waiting.get(notifier)?.n ?? 0,
    owes: isOwing,
    debtsOf: (notifier) => ({
      heads: (stream, most) => heads.all(notifier, stream, most),
      isOwed: (head) => isOwing(notifier, head),
      writtenMs: (seq) => written.get(seq)?.createdMs,
    }),
    parked: (notifier) => parked.get(notifier)?.n ?? 0,
    generation: () => generation.get()?.generation ?? 0,
  }
}

interface IntentRow {
  readonly event_id: string
  readonly payload: string
  readonly expectation: string
  readonly created_ms: number
}

function openIntentOf(row: IntentRow): OpenIntent {
  const event = eventOfPayload(row.payload)
  if (event.kind !== 'file')
    throw databaseErrorOf('read an intent', new Error(`intent "${row.event_id}" is not of a file`))
  // Written by `intend`, from the same type.
  const check = JSON.parse(row.expectation) as IntentCheck
  return { id: row.event_id, event, check, createdMs: row.created_ms }
}
