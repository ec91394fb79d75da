import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import { createBreaker, type Breaker } from './breaker.ts'
import type { OwedRow } from './outbox.ts'
import { createPace, type Pace } from './pace.ts'
import { StreamTable, type Stream } from './stream-table.ts'
import type { RelayStore, RelayTarget, TellFailure } from './telling.ts'

/** How a relay stands. */
export interface RelayStatus {
  /** Events that its notifier is owed. */
  readonly waiting: number
  /** Calls under way. */
  readonly calls: number
  /** Users (and other streams) with something to tell. */
  readonly streams: number
  /** Those of them whose next event has failed before. */
  readonly failing: number
}

/** What a relay needs. */
export interface RelayOptions {
  readonly target: RelayTarget
  readonly store: RelayStore
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** A number from 0 to 1 that spreads retries; default `Math.random`. */
  readonly random?: () => number
  /** Most events of one stream in memory; what is beyond stays in the database until its turn. Default 32. */
  readonly rowsPerStream?: number
}

/** How long a stream waits after a failure: doubling between these. */
const retry = { firstMs: 200, mostMs: 60_000 }

/**
 * Carries events to one notifier: within a stream in order, one telling at a time, the next only when it is noted what
 * was told; many streams at once. Relays know nothing of each other.
 */
export class Relay {
  readonly #options: RelayOptions
  readonly #breaker: Breaker
  readonly #pace: Pace
  readonly #streams: StreamTable
  readonly #queue: Stream[] = []
  readonly #stopped = new AbortController()
  #waiting = 0
  #alarmed = false
  #calls = 0
  /** Streams that are failing now, and successes so far: whether a failure is the event's or the notifier's. */
  #failing = 0
  #successes = 0
  #closing = false
  #pumpsSoon = false
  #idle: (() => void) | undefined
  #cancelPoll: () => void = () => {}

  constructor(options: RelayOptions) {
    this.#options = options
    const { store, target } = options
    this.#streams = new StreamTable(
      {
        page: (stream, most) => store.page(target.name, stream, most),
        streamsAfter: (stream, most) => store.streamsAfter(target.name, stream, most),
      },
      options.rowsPerStream ?? 32,
    )
    this.#breaker = createBreaker(options.clock, options.target.atOnce, options.random)
    this.#pace = createPace({ clock: options.clock, mostTogether: (stream) => target.mostTogether(stream) })
  }

  /** What goes on, for status. */
  get status(): RelayStatus {
    return {
      waiting: this.#waiting,
      calls: this.#calls,
      streams: this.#streams.size,
      failing: this.#failing,
    }
  }

  /** Begins with what waits from earlier lives. */
  start(): void {
    this.rescan()
    this.#poll()
  }

  /** An event was just written down. Telling costs more than that and begins when the client's answer is on its way. */
  arrived(row: OwedRow): void {
    if (this.#closing) return
    this.#waiting += 1
    const stream = this.#streams.hear(row)
    if (stream?.state === 'idle') this.#gatherOrEnqueue(stream)
    else if (stream?.state === 'gathering' && this.#hasEnough(stream)) {
      stream.cancel()
      this.#enqueue(stream)
    }
    if (this.#queue.length > 0) this.#pumpSoon()
  }

  /** The notifier is ready (again). */
  ready(): void {
    this.#breaker.reset()
    this.#wakeAll()
    this.#pump()
  }

  /** Somebody else changed what is owed: every stream is looked at again. */
  rescan(): void {
    const { store, target } = this.#options
    this.#reading(() => {
      this.#waiting = store.waiting(target.name)
      this.#streams.look((stream) => {
        if (stream.state === 'idle') this.#enqueue(stream)
      })
    })
    this.#pump()
  }

  /** Starts no call any more; those under way have until the signal fires. What is not told stays owed. */
  async close(graceSignal: AbortSignal): Promise<void> {
    this.#closing = true
    this.#cancelPoll()
    this.#breaker.close()
    for (const stream of this.#streams.all()) if (isResting(stream)) stream.cancel()
    const abort = (): void => this.#stopped.abort()
    if (graceSignal.aborted) abort()
    else graceSignal.addEventListener('abort', abort, { once: true })
    if (this.#busyStreams() > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
    graceSignal.removeEventListener('abort', abort)
  }

  #busyStreams(): number {
    let busy = 0
    for (const stream of this.#streams.all()) if (stream.state === 'busy') busy += 1
    return busy
  }

  /** Without news from the notifier or a reader that failed, nothing would go on by itself. */
  #poll(): void {
    this.#cancelPoll = this.#options.clock.after(1_000, () => {
      if (this.#closing) return
      this.#showWaiting()
      if (this.#streams.shouldLook) this.rescan()
      this.#pump()
      this.#poll()
    })
  }

  #showWaiting(): void {
    const { target, meter, log } = this.#options
    meter.set('sftpgo_events_waiting', this.#waiting, { notifier: target.name })
    const most = target.alarmAbove ?? Infinity
    if (this.#waiting > most && !this.#alarmed)
      log.error('notifier is far behind', { notifier: target.name, waiting: this.#waiting })
    this.#alarmed = this.#waiting > (this.#alarmed ? most / 2 : most)
  }

  #enqueue(stream: Stream): void {
    stream.state = 'queued'
    this.#queue.push(stream)
  }

  /** A stream whose events come quickly after each other goes when some have come together, or soon. */
  #gatherOrEnqueue(stream: Stream): void {
    const ms = this.#hasEnough(stream) ? 0 : this.#pace.gatherMs(stream.name)
    if (ms === 0) this.#enqueue(stream)
    else this.#rest(stream, 'gathering', ms)
  }

  #hasEnough(stream: Stream): boolean {
    return stream.more || stream.rows.length >= this.#pace.together(stream.name)
  }

  #pumpSoon(): void {
    if (this.#pumpsSoon) return
    this.#pumpsSoon = true
    queueMicrotask(() => {
      this.#pumpsSoon = false
      this.#pump()
    })
  }

  #pump(): void {
    const { target } = this.#options
    while (!this.#closing && this.#queue.length > 0 && this.#calls < this.#breaker.mostCalls()) {
      if (!target.isReady()) return
      const stream = this.#queue.shift()
      if (stream === undefined) return
      const rows = this.#reading(() => this.#streams.next(stream, this.#together(stream)))
      if (rows === undefined) this.#rest(stream, 'waiting', retry.firstMs)
      else if (rows.length === 0) this.#streams.forget(stream)
      else void this.#tell(stream, rows)
    }
  }

  /** Where something failed, events are told alone: whose failure it is shows only then. */
  #together({ name, attempts }: Stream): number {
    const isTroubled = attempts > 0 || this.#breaker.mostCalls() < this.#options.target.atOnce
    return isTroubled ? 1 : this.#pace.together(name)
  }

  /** What reading gave; undefined when the database could not be read, which is said and tried again. */
  #reading<T>(action: () => T): T | undefined {
    try {
      return action()
    } catch (error) {
      this.#options.log.error('events cannot be read', { notifier: this.#options.target.name, error })
      return undefined
    }
  }

  async #tell(stream: Stream, rows: readonly OwedRow[]): Promise<void> {
    const { target, clock } = this.#options
    stream.state = 'busy'
    stream.underway = rows.length
    this.#calls += 1
    const began = clock.monotonic()
    const { told, failure } = await target.tell(rows, stream.attempts + 1, this.#stopped.signal)
    this.#calls -= 1
    this.#observe(clock.monotonic() - began, told, failure)
    this.#pace.ended(stream.name, { events: told, began, well: failure === undefined })
    if (told > 0) await this.#wereTold(stream, rows.slice(0, told))
    const row = rows[told]
    if (row !== undefined && failure !== undefined) {
      if (rows.length > 1) stream.aloneTo = rows.at(-1)?.seq ?? 0
      await this.#wasNotTold(stream, row, rows.length === 1 ? failure : { ...failure, counts: false })
    } else this.#goOn(stream)
    if (this.#closing && this.#busyStreams() === 0) this.#idle?.()
    this.#pump()
  }

  #observe(tookMs: number, told: number, failure: TellFailure | undefined): void {
    const { meter, target } = this.#options
    const observe = (outcome: 'told' | 'failed'): void =>
      meter.observe('sftpgo_event_delivery_seconds', tookMs / 1000, { notifier: target.name, outcome })
    for (let event = 0; event < told; event += 1) observe('told')
    if (failure !== undefined) observe('failed')
  }

  async #wereTold(stream: Stream, rows: readonly OwedRow[]): Promise<void> {
    const { target, store } = this.#options
    this.#successes += rows.length
    if (this.#breaker.succeeded()) this.#wakeAll()
    // The slot of the call is free while the note is written.
    this.#pump()
    for (const row of rows) {
      await this.#note(() => store.acknowledge(target.name, row))
      this.#advance(stream)
    }
  }

  async #wasNotTold(stream: Stream, row: OwedRow, outcome: TellFailure): Promise<void> {
    const { target, store, log } = this.#options
    if (this.#closing) {
      stream.state = 'idle'
      return
    }
    if (outcome.unavailable) this.#breaker.unavailable(() => this.#pump())
    else this.#breaker.failed()
    if (!outcome.counts) return this.#goBack(stream)
    stream.attempts += 1
    if (stream.failingSince === undefined) {
      stream.failingSince = this.#successes
      this.#failing += 1
    }
    const { attempts } = stream
    const fields = { notifier: target.name, event_id: row.id, attempts, reason: outcome.reason }
    if (this.#isHopeless(stream, row)) {
      log.error('event parked', fields)
      this.#options.meter.add('sftpgo_events_parked_total', 1, { notifier: target.name })
      await this.#note(() => store.park(target.name, row, attempts, outcome.reason))
      this.#advance(stream)
      return this.#goOn(stream)
    }
    log.warn('event not told', fields)
    store.failed(target.name, row, attempts).catch(() => {
      // The count is a convenience of the next life.
    })
    if (outcome.unavailable) return this.#goLast(stream)
    const { random } = this.#options
    this.#rest(stream, 'waiting', backoffMs(attempts, { ...retry, ...(random ? { random } : {}) }))
  }

  /** Back to the head of the line: nothing is known against this event. */
  #goBack(stream: Stream): void {
    stream.state = 'queued'
    this.#queue.unshift(stream)
  }

  /** Behind all others: should it be this event that makes the notifier fall, the next try is not with it. */
  #goLast(stream: Stream): void {
    this.#enqueue(stream)
  }

  /**
   * Whether another try would only hold the stream up. Failures while nothing at all gets through are the
   * notifier's, not the event's: they count for little as long as other streams fail too.
   */
  #isHopeless(stream: Stream, row: OwedRow): boolean {
    const { maxAttempts, parkAfterMs } = this.#options.target
    if (parkAfterMs !== undefined && this.#options.clock.now() - row.createdMs > parkAfterMs) return true
    const everythingFails = this.#failing > 1 && this.#successes === stream.failingSince
    return stream.attempts >= (everythingFails ? maxAttempts * 10 : maxAttempts)
  }

  /** Notes in the database what was done; tried until it works, because the stream must not go on before. */
  async #note(action: () => Promise<void>): Promise<void> {
    for (let failures = 1; ; failures += 1) {
      try {
        await action()
        return
      } catch (error) {
        this.#options.log.error('delivery cannot be noted', {
          notifier: this.#options.target.name,
          error: messageOf(error),
        })
        if (this.#closing) return
        await new Promise<void>((resolve) => {
          this.#options.clock.after(backoffMs(failures, { firstMs: 100, mostMs: 5_000 }), resolve)
        })
      }
    }
  }

  /** The head is done with. */
  #advance(stream: Stream): void {
    if (stream.failingSince !== undefined) this.#failing -= 1
    this.#waiting -= 1
    this.#streams.advance(stream)
  }

  /** What is left of the stream takes its turn behind the other streams. */
  #goOn(stream: Stream): void {
    if (this.#closing) stream.state = 'idle'
    else if (stream.rows.length > 0 || stream.more) this.#gatherOrEnqueue(stream)
    else this.#streams.forget(stream)
    if (this.#streams.isComplete && this.#streams.size === 0) this.#waiting = 0
    this.#pump()
  }

  #rest(stream: Stream, state: RestingState, ms: number): void {
    stream.state = state
    stream.cancel = this.#options.clock.after(ms, () => {
      if (stream.state !== state) return
      this.#enqueue(stream)
      this.#pump()
    })
  }

  #wakeAll(): void {
    for (const stream of this.#streams.all()) {
      if (!isResting(stream)) continue
      stream.cancel()
      this.#enqueue(stream)
    }
  }
}

type RestingState = 'waiting' | 'gathering'

/** Whether a timer will wake it. */
function isResting({ state }: Stream): boolean {
  return state === 'waiting' || state === 'gathering'
}
