import { existsSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import { FileError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Soon } from '../base/soon.ts'
import type { Database } from '../database/open-database.ts'
import type { Step } from '../database/writer.ts'
import { openEventJournal, readEventJournal, type EventJournal, type JournalRecord } from './event-journal.ts'
import type { FileIntent } from './event-log.ts'
import { EventNumbers } from './event-numbers.ts'
import type { ServerEvent } from './event.ts'
import { isOwed, type NotifierEntry } from './notifier-entry.ts'
import type { EventNotes, Outbox, OwedRow, WrittenEvent } from './outbox.ts'
import { actionOf, payloadOf, streamOf } from './stored-event.ts'
import type { RelayStore } from './telling.ts'

/** What a journaled outbox needs. */
export interface JournaledOutboxOptions {
  /** Where everything goes in the end. */
  readonly store: Outbox
  readonly database: Database
  readonly file: string
  /** Notes go straight to the database: they must survive power loss. */
  readonly onlyRecovers: boolean
  /** Who is told, asked at each event. */
  readonly notifiers: () => readonly NotifierEntry[]
  readonly clock: Clock
  readonly log: Logger
  /** Hears of each event as soon as it is written down, in the order of their numbers. */
  readonly written: (event: WrittenEvent) => void
}

/** An event that is in the journal and not yet in the database. */
interface YoungEvent {
  readonly row: OwedRow
  readonly action: string
  readonly line: string
  /** Notifiers that were not told yet. */
  readonly owed: Set<string>
  /** Resolves when the database has it, or has not taken it; undefined while it is not on its way there. */
  moving: Promise<void> | undefined
}

/** Events are in the database this much later. */
const moveAfterMs = 100
const retryMs = 1_000
const mostInMove = 500
/** Beyond this whoever writes down waits for the database, as long as it takes anything. */
const manyYoung = 4_000
/** Beyond this the database has not kept up for long, and nothing new is taken. */
const mostYoung = 20_000
const mostJournalBytes = 256 * 1024 * 1024
/** The journal is written anew when so much of it says nothing any more. */
const mostStaleBytes = 2 * 1024 * 1024

const sql = {
  insert:
    'insert into outbox (seq, event_id, stream, action, payload, created_ms, owed) values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing',
  owe: 'insert or ignore into delivery (notifier, stream, seq) values (?, ?, ?)',
  forgetIntent: 'delete from event_intent where event_id = ?',
  waitingBetween: 'select count(*) as n from delivery where notifier = ? and seq between ? and ?',
} as const

/**
 * An outbox whose notes are one system call each: a line in a journal, which survives the death of the process, and
 * soon after, many at a time, the database. A note in the database alone costs four changes of threads for each upload
 * (measured: docs/decisions/022-event-journal.md). Where events must survive power loss, it is not used.
 */
export class JournaledOutbox implements EventNotes, RelayStore {
  readonly #options: JournaledOutboxOptions
  readonly #waitingBetween: { get(...values: (string | number)[]): { n: number } | undefined }
  readonly #numbers: EventNumbers
  #journal: EventJournal | undefined
  readonly #intents = new Map<string, string>()
  readonly #young = new Map<number, YoungEvent>()
  /** What goes to the journal with the next line; losing it costs an event that is told twice. */
  #later = ''
  #moving: Promise<boolean> | undefined
  #movesGo = true
  #youngBytes = 0
  #planned: (() => void) | undefined
  #rewrittenBytes = 0
  #closing = false

  constructor(options: JournaledOutboxOptions) {
    this.#options = options
    this.#numbers = new EventNumbers(options)
    this.#waitingBetween = options.database.query<{ n: number }>(sql.waitingBetween)
  }

  /** Roughly what the database will grow by. */
  get youngBytes(): number {
    return this.#youngBytes
  }

  /** Moves what an earlier life left into the database. Before anything new is written down. */
  async recover(): Promise<void> {
    const { file, store, log } = this.#options
    const records = readEventJournal(file, log)
    if (records.length === 0) return existsSync(file) ? this.#openJournal().replace('') : undefined
    const told = new Map<string, Set<string>>()
    const ended = new Set<string>()
    for (const record of records) {
      if (record[0] === 'told') told.set(record[1], (told.get(record[1]) ?? new Set()).add(record[2]))
      else if (record[0] !== 'intent') ended.add(record[1])
    }
    const writes: Promise<unknown>[] = []
    // Asked for in order, so written in order.
    for (const record of records) {
      if (record[0] === 'event') writes.push(this.#restore(record, told.get(record[1])))
      else if (record[0] === 'intent' && !ended.has(record[1]))
        writes.push(
          Promise.resolve(store.intend(record[1], { check: record[3], event: record[4] }, record[2])),
        )
    }
    await Promise.all(writes)
    this.#openJournal().replace('')
    log.info('event journal of an earlier life taken over', { lines: records.length })
  }

  /** From now on notes go to the journal. */
  async begin(): Promise<void> {
    if (!this.#numbers.isReady && !this.#options.onlyRecovers) await this.#numbers.take()
  }

  /** Moves everything into the database and ends. */
  async close(): Promise<void> {
    this.#closing = true
    this.#planned?.()
    while (this.#young.size > 0 && (await this.#move()));
    this.#tidy()
    this.#journal?.close()
    this.#journal = undefined
  }

  intend(id: string, intent: FileIntent): Soon<void> {
    if (!this.#ready) return this.#options.store.intend(id, intent)
    const { clock } = this.#options
    const line = `["intent",${JSON.stringify(id)},${clock.now()},${JSON.stringify(intent.check)},${payloadOf(intent.event)}]\n`
    this.#append(line)
    this.#intents.set(id, line)
  }

  forgetIntent(id: string): Soon<void> {
    if (!this.#intents.delete(id)) return this.#options.store.forgetIntent(id)
    this.#append(`["over",${JSON.stringify(id)}]\n`)
  }

  add(id: string, event: ServerEvent, createdMs = this.#options.clock.now()): Soon<void> {
    if (!this.#ready) return this.#options.store.add(id, event, createdMs)
    if (!this.#isFull) return this.#addNow(id, event, createdMs)
    return this.#addWithRoom(id, event, createdMs)
  }

  get #isFull(): boolean {
    return this.#young.size >= manyYoung && this.#movesGo
  }

  /** Many wait here at once, more than one move makes room for. */
  async #addWithRoom(id: string, event: ServerEvent, createdMs: number): Promise<void> {
    while (this.#isFull) await this.#move()
    await this.#addNow(id, event, createdMs)
  }

  #addNow(id: string, event: ServerEvent, createdMs: number): Soon<void> {
    const owed = this.#owedTo(event)
    if (owed.length === 0) return this.forgetIntent(id)
    const seq = this.#numbers.next
    const payload = payloadOf(event)
    const line = `["event",${JSON.stringify(id)},${createdMs},${seq},${JSON.stringify(owed)},${payload}]\n`
    this.#append(line)
    this.#numbers.use()
    const row: OwedRow = { seq, id, stream: streamOf(event), createdMs, payload, event, attempts: 0 }
    this.#youngBytes += line.length
    this.#young.set(seq, {
      row,
      line,
      action: actionOf(event),
      owed: new Set(owed),
      moving: undefined,
    })
    this.#intents.delete(id)
    this.#planMove(moveAfterMs)
    this.#options.written({ row, notifiers: owed })
  }

  page(notifier: string, stream: string, most: number): readonly OwedRow[] {
    const rows = this.#options.store.page(notifier, stream, most)
    if (rows.length >= most || this.#young.size === 0) return rows
    const known = new Set(rows.map(({ seq }) => seq))
    const young: OwedRow[] = []
    for (const { row, owed } of this.#young.values()) {
      if (row.stream === stream && owed.has(notifier) && !known.has(row.seq)) young.push(row)
    }
    // They have the higher numbers; only one that is just arriving may be in both.
    return [...rows, ...young].toSorted((one, other) => one.seq - other.seq).slice(0, most)
  }

  streamsAfter(notifier: string, stream: string, most: number): readonly string[] {
    const names = new Set(this.#options.store.streamsAfter(notifier, stream, most))
    for (const { row, owed } of this.#young.values()) {
      if (row.stream > stream && owed.has(notifier)) names.add(row.stream)
    }
    return [...names].toSorted((one, other) => (one < other ? -1 : 1)).slice(0, most)
  }

  waiting(notifier: string): number {
    let young = 0
    let [first, last] = [Infinity, -Infinity]
    for (const { row, owed, moving } of this.#young.values()) {
      if (owed.has(notifier)) young += 1
      if (moving === undefined) continue
      first = Math.min(first, row.seq)
      last = Math.max(last, row.seq)
    }
    // Those on their way may be in the database already: they count once.
    const twice = last < 0 ? 0 : (this.#waitingBetween.get(notifier, first, last)?.n ?? 0)
    return this.#options.store.waiting(notifier) - twice + young
  }

  /** When the oldest event was written down that is not in the database yet. */
  oldestYoungMs(notifier: string): number | undefined {
    for (const { row, owed } of this.#young.values()) if (owed.has(notifier)) return row.createdMs
    return undefined
  }

  async acknowledge(notifier: string, row: OwedRow): Promise<void> {
    const young = await this.#settled(row)
    if (young === undefined) return this.#options.store.acknowledge(notifier, row)
    young.owed.delete(notifier)
    this.#later += `["told",${JSON.stringify(row.id)},${JSON.stringify(notifier)}]\n`
  }

  async park(notifier: string, row: OwedRow, attempts: number, reason: string): Promise<void> {
    await this.#moved(row)
    await this.#options.store.park(notifier, row, attempts, reason)
  }

  async failed(notifier: string, row: OwedRow, attempts: number): Promise<void> {
    await this.#moved(row)
    await this.#options.store.failed(notifier, row, attempts)
  }

  get #ready(): boolean {
    return this.#numbers.isReady && !this.#closing
  }

  /** The event while it is only in the journal; undefined once the database has it. */
  async #settled(row: OwedRow): Promise<YoungEvent | undefined> {
    for (;;) {
      const young = this.#young.get(row.seq)
      if (young?.moving === undefined) return young
      await young.moving
    }
  }

  /** Resolves when the database has it. */
  async #moved(row: OwedRow): Promise<void> {
    while (this.#young.has(row.seq)) {
      if (!(await this.#move())) throw new FileError('input-output', 'Cannot move an event into the database')
    }
  }

  #owedTo(event: ServerEvent): string[] {
    return this.#options
      .notifiers()
      .filter((entry) => isOwed(entry, event))
      .map(({ name }) => name)
  }

  #append(line: string): void {
    const journal = this.#openJournal()
    if (this.#young.size >= mostYoung || journal.sizeBytes > mostJournalBytes)
      throw new FileError('input-output', 'Cannot write an event down: the database does not keep up')
    journal.append(this.#later + line)
    this.#later = ''
  }

  #openJournal(): EventJournal {
    this.#journal ??= openEventJournal(this.#options.file)
    return this.#journal
  }

  #planMove(afterMs: number): void {
    if (this.#closing) return
    this.#planned ??= this.#options.clock.after(afterMs, () => {
      this.#planned = undefined
      void this.#move().then((went) => {
        const isMuch = this.#young.size >= mostInMove
        if (this.#young.size > 0) this.#planMove(!went ? retryMs : isMuch ? 0 : moveAfterMs)
      })
    })
  }

  /**
   * Moves the oldest events into the database, all or none of them. False when it did not take them. One move at a
   * time: were an earlier one refused and a later one taken, a user's later event would be told first.
   */
  #move(): Promise<boolean> {
    this.#moving ??= this.#moveOldest().finally(() => (this.#moving = undefined))
    return this.#moving
  }

  async #moveOldest(): Promise<boolean> {
    const batch = [...this.#young.values()].slice(0, mostInMove)
    if (batch.length === 0) return true
    const went = this.#options.database.writer.write(stepsOf(batch)).then(
      () => true,
      (error: unknown) => {
        this.#options.log.error('events wait in their journal: the database does not take them', { error })
        return false
      },
    )
    const done = went.then((taken) => {
      this.#movesGo = taken
      for (const young of batch) {
        young.moving = undefined
        if (!taken) continue
        this.#young.delete(young.row.seq)
        this.#youngBytes -= young.line.length
      }
      this.#tidy()
    })
    for (const young of batch) young.moving = done
    await done
    return went
  }

  /** Lets the journal say no more than it must. */
  #tidy(): void {
    const journal = this.#journal
    if (journal === undefined || journal.sizeBytes === 0) return
    const isEmpty = this.#young.size === 0 && this.#intents.size === 0
    if (!isEmpty && journal.sizeBytes < 2 * this.#rewrittenBytes + mostStaleBytes) return
    try {
      const young = [...this.#young.values()].map(({ line }) => line)
      journal.replace([...this.#intents.values(), ...young].join(''))
      this.#rewrittenBytes = journal.sizeBytes
      this.#later = ''
    } catch (error) {
      this.#options.log.warn('event journal not shortened', { error })
    }
  }

  async #restore(
    [, id, createdMs, seq, notifiers, event]: Extract<JournalRecord, readonly ['event', ...unknown[]]>,
    told: ReadonlySet<string> | undefined,
  ): Promise<void> {
    const owed = notifiers.filter((name) => told?.has(name) !== true)
    const values = [seq, id, streamOf(event), actionOf(event), payloadOf(event), createdMs, owed.length]
    const { applied } = await this.#options.database.writer.write([
      // Nothing new means that it was moved before that life ended, and may have been told by now.
      { sql: sql.insert, values, mustChange: true },
      ...owed.map((name) => ({ sql: sql.owe, values: [name, streamOf(event), seq] })),
      { sql: sql.forgetIntent, values: [id] },
    ])
    if (!applied) await this.#options.store.forgetIntent(id)
  }
}

function stepsOf(batch: readonly YoungEvent[]): Step[] {
  const events = batch.map(({ row: { seq, id, stream, payload, createdMs }, action, owed }) => [
    ...[seq, id, stream, action, payload, createdMs, owed.size],
  ])
  const debts = batch.flatMap(({ row: { seq, stream }, owed }) =>
    [...owed].map((name) => [name, stream, seq]),
  )
  return [
    { sql: sql.insert, each: events },
    { sql: sql.owe, each: debts },
  ]
}
