import { systemClock, type Clock } from '../base/clock.ts'
import { FileError, messageOf } from '../base/errors.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { silentMeter, type Meter } from '../base/meter.ts'
import type { Closable } from '../base/scope.ts'
import { displayName } from '../base/virtual-path.ts'
import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/open-database.ts'
import { createBudget, type Budget } from './budget.ts'
import { createEventIds } from './event-id.ts'
import type { EventLog, FileIntent, Intent } from './event-log.ts'
import type { FileAction, FileEvent, LogEvent, ProviderEvent, ServerEvent } from './event.ts'
import { createNotifierTarget } from './notifier-target.ts'
import { isOwed, type NotifierEntry } from './notifier-entry.ts'
import { createOutbox, type OpenIntent, type Outbox, type WrittenEvent } from './outbox.ts'
import { reconcile, type Finding } from './reconcile.ts'
import { Relay } from './relay.ts'
import { startRetention, type Retention } from './retention.ts'
import { actionOf, bestEffortActions } from './stored-event.ts'
import { permitted, vetoersOf } from './veto.ts'

/** How events are kept and told. */
export interface EventLogOptions {
  readonly database: Database
  readonly notifiers: readonly NotifierEntry[]
  readonly settings?: EventSettings
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
  /** What goes on, notifier by notifier. */
  status(): EventLogStatus
  /** Starts no call any more, gives those under way `graceMs` (default 5 s), and leaves the rest for the next life. */
  close(graceMs?: number): Promise<void>
}

/** What a start found. */
export interface Recovery {
  readonly committed: number
  readonly discarded: number
  readonly unknown: number
  /** Real paths, one character per byte, of bytes that belong to uploads which did not end. */
  readonly partPaths: readonly string[]
}

/** Figures for status and health. */
export interface EventLogStatus {
  readonly usedBytes: number
  readonly full: boolean
  /** Commits that failed and are tried again. */
  readonly uncommitted: number
  readonly notifiers: readonly {
    readonly name: string
    readonly ready: boolean
    readonly calls: number
    readonly streams: number
    readonly failing: number
  }[]
}

/** Opens the event log: settles what an earlier life left, then begins to tell. No notifiers: nothing is done, ever. */
export async function openEventLog(options: EventLogOptions): Promise<OpenEventLog> {
  const log = new DatabaseEventLog(options)
  await log.open()
  return log
}

/** A commit that failed is tried again this often, and only so many of them. */
const retryMs = 1_000
const mostRetries = 10_000
/** How often somebody else's changes are looked for. */
const watchMs = 1_000

class DatabaseEventLog implements OpenEventLog {
  readonly #options: EventLogOptions
  readonly #clock: Clock
  readonly #log: Logger
  readonly #meter: Meter
  readonly #newId: () => string
  readonly #outbox: Outbox
  readonly #budget: Budget
  readonly #relays = new Map<string, Relay>()
  readonly #retention: Retention | undefined
  readonly #stopping = new AbortController()
  readonly #unsubscribe: (() => void)[] = []
  /** Commits whose effect took place but which could not be written down yet. */
  readonly #uncommitted = new Map<string, { readonly event: FileEvent; readonly createdMs: number }>()
  #recovered: Recovery = { committed: 0, discarded: 0, unknown: 0, partPaths: [] }
  #closing: Promise<void> | undefined
  #lostLogEvents = 0

  constructor(options: EventLogOptions) {
    const { database, notifiers, settings = {} } = options
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLogger
    this.#meter = options.meter ?? silentMeter
    this.#newId = createEventIds(this.#clock)
    this.#outbox = createOutbox({
      database,
      notifiers,
      durable: settings.durable ?? false,
      now: () => this.#clock.now(),
      newId: this.#newId,
      written: (event) => this.#written(event),
    })
    const whenFull = settings.whenFull ?? 'refuse'
    const mostBytes = settings.diskBudgetBytes ?? 2 ** 30
    this.#budget = createBudget({ database, clock: this.#clock, mostBytes })
    if (options.tells !== false && notifiers.length > 0) {
      this.#retention = startRetention({
        database,
        clock: this.#clock,
        log: this.#log,
        budget: this.#budget,
        notifiers: notifiers.map(({ name }) => name),
        maxAgeMs: settings.retention?.maxAgeMs ?? 30 * 86_400_000,
        maxBytes: settings.retention?.maxBytes ?? 256 * 2 ** 20,
        dropsBestEffort: whenFull === 'drop_best_effort',
      })
    }
  }

  get recovered(): Recovery {
    return this.#recovered
  }

  async open(): Promise<void> {
    if (this.#options.tells === false) return
    await this.#settleIntents()
    for (const entry of this.#options.notifiers) {
      const relay = new Relay({
        target: createNotifierTarget(entry, this.#clock),
        store: this.#outbox,
        clock: this.#clock,
        log: this.#log,
        meter: this.#meter,
      })
      this.#relays.set(entry.name, relay)
      const off = entry.onReady?.(() => relay.ready())
      if (off !== undefined) this.#unsubscribe.push(off)
      relay.start()
    }
    if (this.#options.notifiers.length > 0) this.#watch(this.#outbox.generation())
  }

  wants(action: FileAction): boolean {
    return this.#options.notifiers.some(({ wants }) => {
      if (wants.files.includes(action)) return true
      return (
        (action === 'upload' && wants.files.includes('first-upload')) ||
        (action === 'download' && wants.files.includes('first-download'))
      )
    })
  }

  async intend(intent: FileIntent): Promise<Intent> {
    if (!this.wants(intent.event.action)) return unwanted
    if (intent.event.action === 'upload') this.#budget.admitUpload()
    else this.#budget.admitOther()
    const id = this.#newId()
    await asFileError(this.#outbox.intend(id, intent))
    return {
      commit: (event) => this.#commit(id, event),
      abandon: () => asFileError(this.#outbox.forgetIntent(id)),
    }
  }

  async record(event: FileEvent): Promise<void> {
    if (!this.#isOwedToAnyone(event) && !this.wants(event.action)) return
    if (bestEffortActions.includes(event.action)) {
      if (!this.#budget.admitsBestEffort()) return
    } else this.#budget.admitOther()
    await asFileError(this.#outbox.add(this.#newId(), event))
  }

  async recordProvider(event: ProviderEvent): Promise<void> {
    if (event.objectType === 'user' && event.action === 'delete')
      await asFileError(this.#outbox.forgetFirsts(event.objectName))
    if (!this.#isOwedToAnyone(event)) return
    this.#budget.admitOther()
    await asFileError(this.#outbox.add(this.#newId(), event))
  }

  recordLog(event: LogEvent): void {
    if (!this.#isOwedToAnyone(event) || !this.#budget.admitsBestEffort()) return
    this.#outbox.add(this.#newId(), event).catch((error: unknown) => {
      this.#lostLogEvents += 1
      this.#log.warn('log event lost', { since_start: this.#lostLogEvents, reason: messageOf(error) })
    })
  }

  async permits(event: FileEvent): Promise<boolean> {
    const vetoers = vetoersOf(event, this.#options.notifiers)
    if (vetoers.length === 0) return true
    return permitted(event, vetoers, {
      clock: this.#clock,
      log: this.#log,
      newId: this.#newId,
      signal: this.#stopping.signal,
    })
  }

  status(): EventLogStatus {
    return {
      usedBytes: this.#budget.usedBytes,
      full: this.#budget.isFull,
      uncommitted: this.#uncommitted.size,
      notifiers: this.#options.notifiers.map((entry) => ({
        name: entry.name,
        ready: entry.notifier() !== undefined,
        ...(this.#relays.get(entry.name)?.status ?? { calls: 0, streams: 0, failing: 0 }),
      })),
    }
  }

  close(graceMs = 5_000): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  async #close(graceMs: number): Promise<void> {
    for (const off of this.#unsubscribe) off()
    this.#retention?.close()
    const grace = new AbortController()
    const cancel = this.#clock.after(graceMs, () => grace.abort())
    await this.#retryCommits()
    await Promise.all([...this.#relays.values()].map((relay) => relay.close(grace.signal)))
    cancel()
    this.#stopping.abort()
  }

  #isOwedToAnyone(event: ServerEvent): boolean {
    return this.#options.notifiers.some((entry) => isOwed(entry, event))
  }

  #written({ row, notifiers }: WrittenEvent): void {
    for (const name of notifiers) this.#relays.get(name)?.arrived(row)
  }

  /** The effect took place. When that cannot be written down the client hears a failure, and we keep trying. */
  async #commit(id: string, event: FileEvent): Promise<void> {
    const createdMs = this.#clock.now()
    try {
      await this.#outbox.add(id, event, createdMs)
      this.#meter.add('sftpgo_events_written_total', 1, { action: actionOf(event) })
    } catch (error) {
      this.#log.error('event cannot be written down', { event_id: id, error })
      if (this.#uncommitted.size < mostRetries) {
        this.#uncommitted.set(id, { event, createdMs })
        if (this.#uncommitted.size === 1) this.#scheduleRetry()
      }
      throw fileErrorOf(error)
    }
  }

  #scheduleRetry(): void {
    this.#clock.after(retryMs, () => {
      if (this.#closing !== undefined) return
      void this.#retryCommits().then(() => {
        if (this.#uncommitted.size > 0) this.#scheduleRetry()
      })
    })
  }

  async #retryCommits(): Promise<void> {
    for (const [id, { event, createdMs }] of this.#uncommitted) {
      try {
        await this.#outbox.add(id, event, createdMs)
        this.#uncommitted.delete(id)
      } catch {
        // The next round, or the next start: the intent is still written down.
        return
      }
    }
  }

  /** Nothing new is written down before every intent of an earlier life is settled, so old events come first. */
  async #settleIntents(): Promise<void> {
    const partPaths: string[] = []
    let [committed, discarded, unknown] = [0, 0, 0]
    for (;;) {
      const intents = this.#outbox.openIntents(500)
      if (intents.length === 0) break
      const findings = intents.map((intent) => ({ intent, finding: reconcile(intent) }))
      // Asked for in order, so written in order.
      await Promise.all(findings.map((one) => this.#settle(one.intent, one.finding)))
      for (const { finding } of findings) {
        if (finding.found === 'cut' && finding.partPath !== undefined) partPaths.push(finding.partPath)
        if (finding.found === 'happened' || finding.found === 'cut') committed += 1
        else if (finding.found === 'unknown') unknown += 1
        else discarded += 1
      }
    }
    this.#recovered = { committed, discarded, unknown, partPaths }
  }

  #settle({ id, event, createdMs }: OpenIntent, finding: Finding): Promise<void> {
    const { action, username } = event
    this.#log.warn('intent of an earlier life settled', {
      ...{ event_id: id, found: finding.found, action, username },
      path: displayName(event.path),
    })
    return 'event' in finding ? this.#outbox.add(id, finding.event, createdMs) : this.#outbox.forgetIntent(id)
  }

  /** Commands write into the same database. */
  #watch(known: number): void {
    this.#clock.after(watchMs, () => {
      if (this.#closing !== undefined) return
      let now = known
      try {
        now = this.#outbox.generation()
      } catch (error) {
        this.#log.error('events cannot be read', { error })
      }
      if (now !== known) for (const relay of this.#relays.values()) relay.rescan()
      this.#watch(now)
    })
  }
}

/** Nobody asked: nothing is written. */
const unwanted: Intent = { async commit() {}, async abandon() {} }

async function asFileError(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    throw fileErrorOf(error)
  }
}

/** What the person hears when an event cannot be written down: the operation fails, it never passes unwritten. */
function fileErrorOf(error: unknown): unknown {
  if (!(error instanceof DatabaseError)) return error
  const code = error.code === 'full' ? 'no-space' : 'input-output'
  return new FileError(code, `Cannot write an event down: ${error.message}`, { cause: error })
}
