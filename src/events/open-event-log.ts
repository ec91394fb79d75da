import { systemClock, type Clock } from '../base/clock.ts'
import { FileError, messageOf } from '../base/errors.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { silentMeter, type Meter } from '../base/meter.ts'
import type { Closable } from '../base/scope.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/open-database.ts'
import { createBudget, type Budget } from './budget.ts'
import { createEventIds } from './event-id.ts'
import type { EventLog, FileIntent, Intent } from './event-log.ts'
import type { FileAction, FileEvent, LogEvent, ProviderEvent, ServerEvent } from './event.ts'
import { isOwed, neverTold, type NotifierEntry } from './notifier-entry.ts'
import { JournaledOutbox } from './journaled-outbox.ts'
import { OldestWaiting } from './oldest-waiting.ts'
import { createOutbox, type EventNotes, type WrittenEvent } from './outbox.ts'
import { withReceipts, type OutboxWithReceipts } from './receipts.ts'
import type { RelayStatus } from './relay.ts'
import { createRelays, type Relays } from './relays.ts'
import { startRetention, type Retention } from './retention.ts'
import { settleIntents, type Recovery } from './settle-intents.ts'
import { actionOf, bestEffortActions } from './stored-event.ts'
import { createUnwritten, type Unwritten } from './unwritten.ts'
import { permitted, vetoersOf } from './veto.ts'

/** How events are kept and told. */
export interface EventLogOptions {
  readonly database: Database
  readonly notifiers: readonly NotifierEntry[]
  readonly settings?: EventSettings
  /**
   * A file of this log's own: with it, notes that need not survive power loss are lines in it first and go into the
   * database many at a time. Without it, and where events are durable, each goes there at once.
   */
  readonly journalFile?: string
  /** False for a program that only writes down and leaves telling to the server: commands. Default true. */
  readonly tells?: boolean
  readonly clock?: Clock
  readonly log?: Logger
  readonly meter?: Meter
}

/** The settings of `events`. */
export interface EventSettings {
  /** Whether an event survives power loss; default false. */
  readonly durable?: boolean
  /** Default 1 GiB. */
  readonly diskBudgetBytes?: number
  /** Default refuse. */
  readonly whenFull?: 'refuse' | 'drop_best_effort'
  readonly retention?: {
    /** Default 30 days. */
    readonly maxAgeMs?: number
    /** Default 256 MiB. */
    readonly maxBytes?: number
  }
}

/** The event log of a running server. */
export interface OpenEventLog extends EventLog, Closable {
  /** What became of the intents of earlier lives. Part files of uploads that were cut are left to their owner. */
  readonly recovered: Recovery
  /** Takes another list of notifiers. An entry that is the same object goes on undisturbed. */
  takeNotifiers(notifiers: readonly NotifierEntry[]): Promise<void>
  /** What goes on, notifier by notifier. */
  status(): EventLogStatus
  /** Starts no call any more, gives those under way `graceMs` (default 5 s), and leaves the rest for the next life. */
  close(graceMs?: number): Promise<void>
}

/** Figures for status and health. */
export interface EventLogStatus {
  readonly usedBytes: number
  readonly full: boolean
  /** Events whose effect took place and which cannot be written down; tried again. */
  readonly unwritten: number
  readonly notifiers: readonly NotifierStatus[]
}

/** How one notifier stands. */
export interface NotifierStatus extends RelayStatus {
  readonly name: string
  readonly ready: boolean
  readonly parked: number
}

/** Opens the event log: settles what an earlier life left, then begins to tell. No notifiers: nothing is done, ever. */
export async function openEventLog(options: EventLogOptions): Promise<OpenEventLog> {
  const log = new DatabaseEventLog(options)
  await log.open(options.notifiers)
  return log
}

/** How often somebody else's changes are looked for. */
const watchMs = 1_000
const graceMs = 5_000

class DatabaseEventLog implements OpenEventLog {
  readonly #clock: Clock
  readonly #log: Logger
  readonly #meter: Meter
  readonly #tells: boolean
  readonly #newId: () => string
  readonly #outbox: OutboxWithReceipts
  readonly #journaled: JournaledOutbox | undefined
  /** Where things are written down: the journal before the database, or the database. */
  readonly #notes: EventNotes
  readonly #budget: Budget
  readonly #relays: Relays
  readonly #unwritten: Unwritten
  readonly #retention: Retention | undefined
  readonly #stopping = new AbortController()
  #notifiers: readonly NotifierEntry[] = []
  #recovered: Recovery = { committed: 0, discarded: 0, unknown: 0, partPaths: [] }
  #closing: Promise<void> | undefined
  readonly #dropsBestEffort: boolean
  readonly #oldest = new Map<string, OldestWaiting>()
  #dropped = 0
  #dropsSaidAt = -Infinity

  constructor(options: EventLogOptions) {
    const { database, settings = {} } = options
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLogger
    this.#meter = options.meter ?? silentMeter
    this.#tells = options.tells ?? true
    this.#dropsBestEffort = settings.whenFull === 'drop_best_effort'
    const around = { database, clock: this.#clock, log: this.#log, meter: this.#meter }
    this.#newId = createEventIds(this.#clock)
    const common = {
      database,
      notifiers: () => this.#notifiers,
      written: (event: WrittenEvent) => this.#relays.arrived(event),
    }
    const { durable = false } = settings
    const store = createOutbox({
      ...{ ...common, durable, now: () => this.#clock.now() },
      written: (event) => common.written(this.#outbox.untold(event)),
    })
    this.#outbox = withReceipts({ ...around, store })
    this.#journaled =
      options.journalFile === undefined || !this.#tells
        ? undefined
        : new JournaledOutbox({
            ...{ ...common, ...around, store: this.#outbox, file: options.journalFile },
            // What an earlier life left is taken over all the same.
            onlyRecovers: durable,
          })
    this.#notes = this.#journaled ?? this.#outbox
    this.#relays = createRelays({ ...around, store: this.#journaled ?? this.#outbox })
    this.#unwritten = createUnwritten(this.#clock, (id, event, at) => this.#notes.add(id, event, at))
    this.#budget = createBudget({
      ...around,
      mostBytes: settings.diskBudgetBytes ?? 2 ** 30,
      underwayBytes: () => this.#journaled?.youngBytes ?? 0,
      onRefused: () => this.#retention?.hurry(),
    })
    this.#retention = this.#tells
      ? startRetention({
          ...around,
          budget: this.#budget,
          notifiers: () => this.#notifiers.map(({ name }) => name),
          maxAgeMs: settings.retention?.maxAgeMs ?? 30 * 86_400_000,
          maxBytes: settings.retention?.maxBytes ?? 256 * 2 ** 20,
          dropsBestEffort: this.#dropsBestEffort,
        })
      : undefined
  }

  get recovered(): Recovery {
    return this.#recovered
  }

  async open(notifiers: readonly NotifierEntry[]): Promise<void> {
    this.#notifiers = notifiers
    if (!this.#tells) return
    this.#warn(notifiers)
    await this.#journaled?.recover()
    this.#recovered = await settleIntents(this.#outbox, this.#log)
    if (notifiers.length > 0) await this.#journaled?.begin()
    await this.#relays.take(notifiers, graceMs)
    this.#watch(this.#outbox.generation())
  }

  async takeNotifiers(notifiers: readonly NotifierEntry[]): Promise<void> {
    this.#warn(notifiers.filter((entry) => !this.#notifiers.includes(entry)))
    this.#notifiers = notifiers
    if (notifiers.length > 0) await this.#journaled?.begin()
    await this.#relays.take(notifiers, graceMs)
  }

  wants(action: FileAction): boolean {
    return this.#notifiers.some(({ wants }) => wants.files.includes(action))
  }

  intend(intent: FileIntent): Soon<Intent> {
    if (!this.wants(intent.event.action)) return unwanted
    if (intent.event.action === 'upload') this.#budget.admitUpload()
    else this.#budget.admitOther()
    const id = this.#newId()
    return whenReady(
      asFileError(() => this.#notes.intend(id, intent)),
      () => ({
        commit: (event) => this.#commit(id, event),
        abandon: () => asFileError(() => this.#notes.forgetIntent(id)),
      }),
    )
  }

  record(event: FileEvent): Soon<void> {
    if (!this.#isOwedToAnyone(event)) return undefined
    // Only who asked for it loses any: else what cannot be written down is not done.
    if (this.#dropsBestEffort && bestEffortActions.includes(event.action)) {
      if (!this.#budget.admitsBestEffort()) return this.#drop(event)
    } else this.#budget.admitOther()
    return this.#add(event)
  }

  async recordProvider(event: ProviderEvent): Promise<void> {
    if (!this.#isOwedToAnyone(event)) return
    this.#budget.admitOther()
    await this.#add(event)
  }

  recordLog(event: LogEvent): void {
    if (!this.#isOwedToAnyone(event)) return
    if (!this.#budget.admitsBestEffort()) return this.#drop(event)
    const lost = (error: unknown): void => {
      this.#log.warn('log event lost', { reason: messageOf(error) })
      this.#drop(event)
    }
    void recovering<void>(() => this.#add(event), lost)
  }

  permits(event: FileEvent): Soon<boolean> {
    const vetoers = vetoersOf(event, this.#notifiers)
    if (vetoers.length === 0) return true
    return permitted(event, vetoers, {
      ...{ clock: this.#clock, log: this.#log, newId: this.#newId },
      signal: this.#stopping.signal,
    })
  }

  status(): EventLogStatus {
    return {
      usedBytes: this.#budget.usedBytes,
      full: this.#budget.isFull,
      unwritten: this.#unwritten.size,
      notifiers: this.#notifiers.map((entry) => ({
        name: entry.name,
        ready: entry.notifier() !== undefined,
        parked: this.#outbox.parked(entry.name),
        ...(this.#relays.status(entry.name) ?? { waiting: 0, calls: 0, streams: 0, failing: 0 }),
      })),
    }
  }

  close(grace = graceMs): Promise<void> {
    this.#closing ??= this.#close(grace)
    return this.#closing
  }

  async #close(grace: number): Promise<void> {
    this.#retention?.close()
    this.#unwritten.close()
    await this.#unwritten.retry()
    await this.#relays.close(grace)
    await this.#outbox.settle().catch((error: unknown) => {
      this.#log.error('not noted what was told: it will be told again', { error: messageOf(error) })
    })
    await this.#journaled?.close()
    this.#stopping.abort()
  }

  #warn(notifiers: readonly NotifierEntry[]): void {
    for (const { name, wants } of notifiers) {
      const never = neverTold(wants)
      if (never.length > 0)
        this.#log.warn('notifier asks for events that never happen here', { notifier: name, never })
    }
  }

  /** An event that promises nothing is not written down. Said once a minute at most; counted always. */
  #drop(event: ServerEvent): void {
    this.#dropped += 1
    this.#meter.add('sftpgo_events_dropped_total', 1, { action: actionOf(event) })
    const now = this.#clock.monotonic()
    if (now - this.#dropsSaidAt < 60_000) return
    this.#dropsSaidAt = now
    this.#log.warn('best effort events not written down', { since_start: this.#dropped })
  }

  #isOwedToAnyone(event: ServerEvent): boolean {
    return this.#notifiers.some((entry) => isOwed(entry, event))
  }

  #add(event: ServerEvent): Soon<void> {
    return whenReady(
      asFileError(() => this.#notes.add(this.#newId(), event)),
      () => this.#countWritten(event),
    )
  }

  /** The effect took place. When that cannot be written down the client hears a failure, and we keep trying. */
  #commit(id: string, event: FileEvent): Soon<void> {
    const createdMs = this.#clock.now()
    return recovering<void>(
      () => whenReady(this.#notes.add(id, event, createdMs), () => this.#countWritten(event)),
      (error) => {
        this.#log.error('event cannot be written down', { event_id: id, error })
        this.#unwritten.keep(id, event, createdMs)
        throw fileErrorOf(error)
      },
    )
  }

  #countWritten(event: ServerEvent): void {
    this.#meter.add('sftpgo_events_written_total', 1, { action: actionOf(event) })
  }

  async #measure(notifier: string): Promise<void> {
    this.#meter.set('sftpgo_events_parked', this.#outbox.parked(notifier), { notifier })
    const oldestMs = await this.#oldestMs(notifier)
    const age = oldestMs === undefined ? 0 : Math.max(0, this.#clock.now() - oldestMs)
    this.#meter.set('sftpgo_events_oldest_seconds', age / 1000, { notifier })
  }

  async #oldestMs(notifier: string): Promise<number | undefined> {
    if ((this.#relays.status(notifier)?.waiting ?? 0) === 0) return undefined
    const known = this.#oldest.get(notifier) ?? new OldestWaiting(this.#outbox.debtsOf(notifier))
    this.#oldest.set(notifier, known)
    // What is not in the database yet is younger.
    return (await known.look()) ?? this.#journaled?.oldestYoungMs(notifier)
  }

  /** Commands write into the same database. */
  #watch(known: number): void {
    this.#clock.after(watchMs, () => {
      if (this.#closing === undefined) void this.#look(known).then((now) => this.#watch(now))
    })
  }

  /** Looks at what others changed and at how things stand; the new generation. Never rejects. */
  async #look(known: number): Promise<number> {
    let now = known
    try {
      now = this.#outbox.generation()
      if (now !== known) {
        for (const oldest of this.#oldest.values()) oldest.forget()
        this.#relays.rescan()
      }
      for (const { name } of this.#notifiers) if (this.#closing === undefined) await this.#measure(name)
    } catch (error) {
      this.#log.error('events cannot be read', { error })
    }
    return now
  }
}

/** Nobody asked: nothing is written. */
const unwanted: Intent = { commit() {}, abandon() {} }

function asFileError(work: () => Soon<void>): Soon<void> {
  return recovering(work, (error) => {
    throw fileErrorOf(error)
  })
}

/** What the person hears when an event cannot be written down: the operation fails, it never passes unwritten. */
function fileErrorOf(error: unknown): unknown {
  if (!(error instanceof DatabaseError)) return error
  const code = error.code === 'full' ? 'no-space' : 'input-output'
  return new FileError(code, `Cannot write an event down: ${error.message}`, { cause: error })
}
