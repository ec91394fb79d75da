import { Worker } from 'node:worker_threads'
import type { Logger } from '../base/log.ts'
import type { DriverName } from './connection.ts'
import { DatabaseError, databaseErrorOf } from './database-error.ts'
import { writerSource } from './writer-source.ts'
import type { FromWriter, Step, ToWriter, WriteOutcome, WriteResult, WriterStart } from './writer-thread.ts'

export type { Step, WriteResult } from './writer-thread.ts'

/**
 * The one way to change the database: off the main thread, many small writes in one commit.
 *
 * Writes take effect in the order of the calls. A write is one transaction of its own: all of its steps or none.
 */
export interface Writer {
  /**
   * Returns when the write is committed; a reader then sees it. With `durable` it is on the disk as well.
   * Throws a `DatabaseError`; `overloaded` at once when too many wait.
   */
  write(steps: readonly Step[], options?: WriteOptions): Promise<WriteResult>
  /** How many writes are not answered yet. */
  readonly waiting: number
}

/** What a single write may ask for. */
export interface WriteOptions {
  /** On the disk before it returns; default: as the writer was opened. */
  readonly durable?: boolean
}

/** How the writer works. */
export interface WriterOptions {
  readonly driver: DriverName
  readonly path: string
  /** The module that libraries are found from. */
  readonly from: string
  readonly pragmas: readonly string[]
  readonly durable: boolean
  /** Most writes that may wait; the next is refused. */
  readonly mostWaiting: number
  readonly log: Logger
}

interface WaitingWrite {
  readonly steps: readonly Step[]
  readonly durable: boolean
  settle(outcome: WriteOutcome): void
  fail(error: DatabaseError): void
}

/**
 * Most writes in one commit. Groups of about ten give most of the gain; above a hundred the wait of each grows
 * faster than the rate (measured: docs/decisions/020-one-writer.md).
 */
const mostInGroup = 128

/** Starts the writer's thread and owns it. A thread that dies is started again with the next write. */
export class GroupWriter implements Writer {
  readonly #options: WriterOptions
  #thread: Worker | undefined
  #line: WaitingWrite[] = []
  #underway: WaitingWrite[] = []
  #scheduled = false
  #closing: Promise<void> | undefined
  #drained: (() => void) | undefined

  constructor(options: WriterOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#line.length + this.#underway.length
  }

  write(steps: readonly Step[], options: WriteOptions = {}): Promise<WriteResult> {
    if (this.#closing !== undefined)
      return Promise.reject(new DatabaseError('closed', 'Cannot write: the database is closed'))
    if (this.waiting >= this.#options.mostWaiting)
      return Promise.reject(new DatabaseError('overloaded', 'Cannot write: too many writes wait already'))
    return new Promise((resolve, reject) => {
      this.#line.push({
        steps,
        durable: options.durable ?? this.#options.durable,
        settle(outcome) {
          if ('result' in outcome) resolve(outcome.result)
          else reject(databaseErrorOf('write to the database', outcome.failure))
        },
        fail: reject,
      })
      this.#schedule()
    })
  }

  /** Writes what waits, then ends the thread. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.waiting > 0) await new Promise<void>((resolve) => (this.#drained = resolve))
    const thread = this.#thread
    if (thread === undefined) return
    const gone = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
    thread.ref()
    thread.postMessage('close' satisfies ToWriter)
    await gone
    this.#thread = undefined
  }

  /** One group is under way at a time: what arrives meanwhile becomes the next, so groups grow with the load. */
  #schedule(): void {
    if (this.#scheduled || this.#underway.length > 0) return
    this.#scheduled = true
    // After the events of this turn, so that the writes of many connections share one commit.
    setImmediate(() => {
      this.#scheduled = false
      this.#send()
    })
  }

  #send(): void {
    if (this.#underway.length > 0 || this.#line.length === 0) return
    this.#underway = this.#line.splice(0, mostInGroup)
    try {
      const thread = this.#ensureThread()
      thread.ref()
      thread.postMessage({
        durable: this.#underway.some(({ durable }) => durable),
        writes: this.#underway.map(({ steps }) => steps),
      } satisfies ToWriter)
    } catch (error) {
      this.#lose(databaseErrorOf('write to the database', error))
    }
  }

  #ensureThread(): Worker {
    if (this.#thread !== undefined) return this.#thread
    const { driver, path, from, pragmas } = this.#options
    const thread = new Worker(writerSource, {
      eval: true,
      workerData: { driver, path, from, pragmas } satisfies WriterStart,
      // Flags of the main program (a loader, an inspector) are not for this thread.
      execArgv: [],
      name: 'database-writer',
    })
    thread.on('message', (message: FromWriter) => {
      if (this.#thread === thread) this.#hear(message)
    })
    thread.on('error', (error) => this.#ended(thread, error))
    thread.on('exit', () => this.#ended(thread, new Error('the writer ended')))
    this.#thread = thread
    return thread
  }

  #hear(message: FromWriter): void {
    if ('unopened' in message) {
      this.#ended(this.#thread, Object.assign(new Error(message.unopened.message), message.unopened))
      return
    }
    const group = this.#underway
    this.#underway = []
    this.#thread?.unref()
    for (const [index, write] of group.entries()) {
      const outcome = message.outcomes[index]
      if (outcome !== undefined) write.settle(outcome)
    }
    this.#next()
  }

  #ended(thread: Worker | undefined, error: unknown): void {
    if (thread === undefined || this.#thread !== thread) return
    this.#thread = undefined
    if (this.#closing !== undefined && this.waiting === 0) return
    this.#options.log.error('database writer ended', { error })
    this.#lose(databaseErrorOf('write to the database', error))
  }

  /** Whoever waits for the group under way hears that its outcome is not known. */
  #lose(error: DatabaseError): void {
    const group = this.#underway
    this.#underway = []
    for (const write of group) write.fail(error)
    this.#next()
  }

  #next(): void {
    if (this.#line.length > 0) this.#send()
    else if (this.#underway.length === 0) this.#drained?.()
  }
}
