import type { Database } from '../database/open-database.ts'
import type { Step } from '../database/writer.ts'
import { matches, type EventFilter } from './event-filter.ts'
import { isOwed, type NotifierEntry } from './notifier-entry.ts'
import { eventOfPayload, type StoredEvent } from './stored-event.ts'

/** An event with who has still to hear it. */
export interface ArchivedEvent extends StoredEvent {
  readonly action: string
  readonly deliveries: readonly Delivery[]
}

/** How telling one notifier of one event stands; whoever heard it has no row. */
export type Delivery =
  | { readonly notifier: string; readonly state: 'waiting'; readonly attempts: number }
  | {
      readonly notifier: string
      readonly state: 'parked'
      readonly attempts: number
      readonly reason: string
      readonly sinceMs: number
    }

/** What a replay or a drop did. */
export interface ChangeReport {
  readonly events: number
  readonly deliveries: number
}

/** The events that are still kept, for people: what happened, who has not heard it, and what to do about it. */
export interface EventArchive {
  /** The newest that match, newest first. */
  list(filter: EventFilter, most: number): Promise<ArchivedEvent[]>
  find(id: string): ArchivedEvent | undefined
  /** Events after a number, oldest first. */
  after(seq: number, most: number): readonly ArchivedEvent[]
  newest(): number
  /** The oldest that are parked, for one notifier or for all. */
  parked(notifier: string | undefined, most: number): ArchivedEvent[]
  /** Has events told again, also to those who heard them; parked ones first of all. Noted with who asked. */
  replay(selection: Selection, who: string): Promise<ChangeReport>
  /** Forgets what is owed. Noted with who asked and why. */
  drop(selection: Selection & { readonly reason: string }, who: string): Promise<ChangeReport>
}

/** Which deliveries are meant: of which events, to whom. */
export interface Selection extends EventFilter {
  /** Left out: everyone who wants them. */
  readonly notifier?: string
  /** Only what is parked. */
  readonly parkedOnly?: boolean
}

/** What the archive needs. */
export interface EventArchiveOptions {
  readonly database: Database
  readonly notifiers: () => readonly NotifierEntry[]
  readonly now: () => number
}

interface EventRow {
  readonly seq: number
  readonly id: string
  readonly stream: string
  readonly action: string
  readonly payload: string
  readonly createdMs: number
}

const columns = 'seq, event_id as id, stream, action, payload, created_ms as createdMs'
const sql = {
  before: `select ${columns} from outbox where seq < ? order by seq desc limit ?`,
  after: `select ${columns} from outbox where seq > ? order by seq limit ?`,
  byId: `select ${columns} from outbox where event_id = ?`,
  newest: 'select coalesce(max(seq), 0) as seq from outbox',
  waiting: 'select attempts from delivery where notifier = ? and stream = ? and seq = ?',
  parkedOf: 'select attempts, reason, since_ms as sinceMs from parked where notifier = ? and seq = ?',
  notifiersParked: 'select distinct notifier from parked',
  parkedSeqs: 'select seq from parked where notifier = ? and seq > ? order by seq limit ?',
  bySeq: `select ${columns} from outbox where seq = ?`,
  oweMore: `update outbox set owed = owed + 1 where seq = ?1
    and not exists (select 1 from parked where notifier = ?2 and seq = ?1)
    and not exists (select 1 from delivery where notifier = ?2 and stream = ?3 and seq = ?1)`,
  unpark: 'delete from parked where notifier = ? and seq = ?',
  owe: 'insert or ignore into delivery (notifier, stream, seq) values (?, ?, ?)',
  owedLess: 'update outbox set owed = owed - changes() where seq = ?',
  forget: 'delete from delivery where notifier = ? and stream = ? and seq = ?',
  note: 'insert into event_audit (at_ms, action, detail) values (?, ?, ?)',
  signal: 'update event_signal set generation = generation + 1',
} as const

/** Rows looked at before other work gets its turn. */
const page = 500
/** Deliveries changed in one write. */
const changesPerWrite = 100

/** Opens the archive. */
export function openEventArchive({ database, notifiers, now }: EventArchiveOptions): EventArchive {
  const before = database.query<EventRow>(sql.before)
  const after = database.query<EventRow>(sql.after)
  const byId = database.query<EventRow>(sql.byId)
  const bySeq = database.query<EventRow>(sql.bySeq)
  const waiting = database.query<{ attempts: number }>(sql.waiting)
  const parkedOf = database.query<{ attempts: number; reason: string; sinceMs: number }>(sql.parkedOf)
  const notifiersParked = database.query<{ notifier: string }>(sql.notifiersParked)
  const parkedSeqs = database.query<{ seq: number }>(sql.parkedSeqs)
  const newest = database.query<{ seq: number }>(sql.newest)

  return {
    async list(filter, most) {
      const found: ArchivedEvent[] = []
      for await (const row of rowsMatching(filter)) {
        found.push(archived(row))
        if (found.length >= most) break
      }
      return found
    },
    find(id) {
      const row = byId.get(id)
      return row === undefined ? undefined : archived(row)
    },
    after: (seq, most) => after.all(seq, most).map(archived),
    newest: () => newest.get()?.seq ?? 0,
    parked(notifier, most) {
      const names = notifier === undefined ? notifiersParked.all().map((row) => row.notifier) : [notifier]
      const seqs = new Set(names.flatMap((name) => parkedSeqs.all(name, 0, most).map(({ seq }) => seq)))
      return [...seqs]
        .sort((a, b) => a - b)
        .slice(0, most)
        .flatMap((seq) => bySeq.all(seq))
        .map(archived)
    },
    replay: (selection, who) =>
      change(selection, 'replay', { who, selection }, (row, notifier) => [
        { sql: sql.oweMore, values: [row.seq, notifier, row.stream] },
        { sql: sql.unpark, values: [notifier, row.seq] },
        { sql: sql.owe, values: [notifier, row.stream, row.seq] },
      ]),
    drop: (selection, who) =>
      change(selection, 'drop', { who, selection }, (row, notifier) => [
        { sql: sql.unpark, values: [notifier, row.seq] },
        { sql: sql.owedLess, values: [row.seq] },
        ...(selection.parkedOnly === true
          ? []
          : [
              { sql: sql.forget, values: [notifier, row.stream, row.seq] },
              { sql: sql.owedLess, values: [row.seq] },
            ]),
      ]),
  }

  /** Makes one change for each event and notifier meant, oldest first, and notes it. */
  async function change(
    selection: Selection,
    action: 'replay' | 'drop',
    detail: object,
    stepsOf: (row: EventRow, notifier: string) => readonly Step[],
  ): Promise<ChangeReport> {
    const rows: EventRow[] = []
    for await (const row of rowsSelected(selection)) rows.push(row)
    const targets = rows
      .sort((a, b) => a.seq - b.seq)
      .map((row) => ({ row, names: namesFor(row, selection, action) }))
      .filter(({ names }) => names.length > 0)
    const report = { events: targets.length, deliveries: targets.flatMap(({ names }) => names).length }
    const steps = targets.flatMap(({ row, names }) => names.map((name) => stepsOf(row, name)))
    for (let done = 0; done < steps.length; done += changesPerWrite)
      await database.writer.write(steps.slice(done, done + changesPerWrite).flat())
    const note = JSON.stringify({ ...detail, ...report, ids: targets.slice(0, 100).map(({ row }) => row.id) })
    await database.writer.write([{ sql: sql.note, values: [now(), action, note] }, { sql: sql.signal }])
    return report
  }

  /** To whom of those who may be meant this event applies. */
  function namesFor(row: EventRow, selection: Selection, action: 'replay' | 'drop'): string[] {
    const owed = deliveriesOf(row)
    const state = selection.parkedOnly === true ? ['parked'] : ['parked', 'waiting']
    const holding = owed.filter((one) => state.includes(one.state)).map(({ notifier }) => notifier)
    const wanting = notifiers()
      .filter((entry) => isOwed(entry, eventOfPayload(row.payload)))
      .map(({ name }) => name)
    const all = action === 'drop' || selection.parkedOnly === true ? holding : [...holding, ...wanting]
    return [...new Set(all)].filter((name) => selection.notifier === undefined || name === selection.notifier)
  }

  async function* rowsSelected(selection: Selection): AsyncGenerator<EventRow> {
    const { notifier } = selection
    if (selection.parkedOnly !== true) return yield* rowsMatching(selection)
    const names = notifier === undefined ? notifiersParked.all().map((row) => row.notifier) : [notifier]
    const seen = new Set<number>()
    for (const name of names) {
      for (let last = 0; ;) {
        const seqs = parkedSeqs.all(name, last, page).map(({ seq }) => seq)
        for (const row of seqs.filter((seq) => !seen.has(seq)).flatMap((seq) => bySeq.all(seq))) {
          seen.add(row.seq)
          if (matches(selection, row, eventOfPayload(row.payload))) yield row
        }
        if (seqs.length < page) break
        last = seqs.at(-1) ?? last
        await turn()
      }
    }
  }

  /** Newest first. */
  async function* rowsMatching(filter: EventFilter): AsyncGenerator<EventRow> {
    if (filter.ids !== undefined) {
      for (const row of filter.ids.flatMap((id) => byId.all(id)))
        if (matches(filter, row, eventOfPayload(row.payload))) yield row
      return
    }
    for (let last = Number.MAX_SAFE_INTEGER; ;) {
      const rows = before.all(last, page)
      for (const row of rows) if (matches(filter, row, eventOfPayload(row.payload))) yield row
      if (rows.length < page) return
      last = rows.at(-1)?.seq ?? 0
      await turn()
    }
  }

  function archived(row: EventRow): ArchivedEvent {
    const { seq, id, action, createdMs, payload } = row
    return { seq, id, action, createdMs, event: eventOfPayload(payload), deliveries: deliveriesOf(row) }
  }

  function deliveriesOf({ seq, stream }: EventRow): Delivery[] {
    const names = new Set([
      ...notifiers().map(({ name }) => name),
      ...notifiersParked.all().map(({ notifier }) => notifier),
    ])
    return [...names].flatMap((notifier): Delivery[] => {
      const owed = waiting.get(notifier, stream, seq)
      if (owed !== undefined) return [{ notifier, state: 'waiting', attempts: owed.attempts }]
      const parked = parkedOf.get(notifier, seq)
      return parked === undefined ? [] : [{ notifier, state: 'parked', ...parked }]
    })
  }
}

/** Lets sessions have their turn: reading is done on their thread. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
