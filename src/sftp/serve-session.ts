import { randomBytes } from 'node:crypto'
import { FileError, messageOf } from '../base/errors.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import type { Soon } from '../base/soon.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { OpenTransfer, UserFiles, UserListing } from '../files/user-files.ts'
import { createBufferPool, type BufferPool } from './buffer-pool.ts'
import type { ByteStream } from './byte-stream.ts'
import { Fields } from './fields.ts'
import { FileLine, settle, type LineDesk } from './file-line.ts'
import { Handles, type Opened, type OpenedFor } from './handles.ts'
import { createLongNames } from './long-name.ts'
import { extensions, operations, vendorData, vendorExtension } from './operations/index.ts'
import type { Conversation, Operation } from './operations/operation.ts'
import { Outbox, type DataRoom } from './outbox.ts'
import { PacketReader } from './packet-reader.ts'
import { namelessPeople, type People } from './people.ts'
import { maxPacketBytes, requestType } from './protocol.ts'
import { ReadBudget } from './read-budget.ts'
import { statusReply, type Reply } from './reply.ts'
import { Schedule } from './schedule.ts'
import { defaultBounds, type SessionBounds, type SessionEnd } from './session.ts'
import type { SessionOptions, SftpSession } from './session.ts'
import { deniedStatus, statusOf, unsupportedStatus } from './status.ts'
import type { Receipt, Task } from './task.ts'

/** Bytes of a buffer that holds any packet. */
export const packetBufferBytes = 4 + maxPacketBytes

/** Exit status after a peer that does not speak SFTP; OpenSSH's program uses the same. */
const protocolErrorStatus = 11

/** Serves one SFTP conversation over `stream` with the files of one person. */
export function serveSession(
  stream: ByteStream,
  files: UserFiles,
  options: SessionOptions = {},
): SftpSession {
  const session = new Session(stream, files, options)
  stream.start({
    data: (bytes) => session.data(bytes),
    room: () => session.room(),
    ended: () => session.inputEnded(),
    closed: () => session.finish('stream-closed'),
    get lookedAt() {
      return session.lookedAt
    },
  })
  return {
    ended: session.ended,
    get requests() {
      return session.requests
    },
    get outstanding() {
      return session.outstanding
    },
    get transfers() {
      return [...session.handles.live()].filter(({ kind }) => kind === 'file').length
    },
    close: (exitStatus = 1) => session.finish('closed-by-us', exitStatus),
  }
}

/** Where a conversation stands: before INIT, after it, or past its end. */
type Phase = 'greeting' | 'open' | 'over'

/** One conversation: requests in, replies out, in order, bounded. */
class Session implements Conversation, LineDesk {
  readonly ended: Promise<SessionEnd>
  readonly files: UserFiles
  readonly people: People
  readonly handles: Handles
  readonly tag = randomBytes(4).readUInt32BE(0)
  readonly symlinkOrder: 'target-first' | 'link-first'
  readonly readOnly: boolean
  readonly mostHandles: number
  requests = 0
  outstanding = 0

  readonly #stream: ByteStream
  readonly #options: SessionOptions
  readonly #log: Logger
  readonly #bounds: SessionBounds
  readonly #buffers: BufferPool
  readonly #reader = new PacketReader()
  readonly #fields = new Fields()
  readonly #outbox: Outbox
  readonly #schedule: Schedule
  readonly #reads: ReadBudget
  readonly #resolveEnded: (end: SessionEnd) => void
  #phase: Phase = 'greeting'
  #inputEnded = false
  /** Bytes of the stream held by requests under way. */
  #heldBytes = 0
  /** What must be over before the session is. */
  readonly #endings = new Set<Promise<unknown>>()
  #pumping = false
  #flushing = false

  constructor(stream: ByteStream, files: UserFiles, options: SessionOptions) {
    const { people = namelessPeople } = options
    this.#stream = stream
    this.#options = options
    this.#log = options.log ?? silentLogger
    this.#bounds = { ...defaultBounds, ...options.bounds }
    this.#buffers = options.buffers ?? createBufferPool({ bufferBytes: packetBufferBytes, keep: 2 })
    this.files = files
    this.people = people
    this.handles = new Handles(this.#bounds.handles)
    this.symlinkOrder = options.symlinkOrder ?? 'target-first'
    this.readOnly = options.readOnly ?? false
    this.mostHandles = this.#bounds.handles
    const longNames = createLongNames(people)
    this.#outbox = new Outbox({ stream, buffers: this.#buffers, longNames, tag: this.tag })
    this.#schedule = new Schedule(this.#bounds.calls, (run, receipt, done) => this.#run(run, receipt, done))
    this.#reads = new ReadBudget({
      ...{ buffers: this.#buffers, most: this.#bounds.reads, isFull: () => this.#outbox.full },
    })
    let resolveEnded: (end: SessionEnd) => void = () => {}
    this.ended = new Promise((resolve) => {
      resolveEnded = resolve
    })
    this.#resolveEnded = resolveEnded
  }

  get over(): boolean {
    return this.#phase === 'over'
  }

  // What the stream tells.

  data(bytes: Buffer): void {
    if (this.over) return
    this.#reader.push(bytes)
    this.#pump()
    // What could be answered at once leaves in this turn: by way of the microtask it cost a turn of the event loop each.
    if (!this.over) this.#outbox.flush()
  }

  /** Between requests only the beginning of the next one is still looked at. */
  get lookedAt(): number | undefined {
    return this.outstanding > 0 || this.over ? undefined : this.#reader.waitingBytes
  }

  room(): void {
    if (this.over) return
    this.#outbox.room()
    this.#reads.wake()
    this.#pump()
  }

  inputEnded(): void {
    this.#inputEnded = true
    this.#pump()
  }

  /** Ends the conversation: drops what waits, interrupts what is open, ends the stream when it still lives. */
  finish(end: SessionEnd, exitStatus = 0): void {
    if (this.over) return
    if (end === 'stream-closed') this.#outbox.drop()
    else this.#outbox.flush()
    this.#phase = 'over'
    this.#reader.clear()
    this.#schedule.clear()
    this.#reads.clear()
    for (const opened of this.handles.live()) this.#track(this.#interrupt(opened))
    this.handles.clear()
    if (end !== 'stream-closed') this.#stream.end(exitStatus)
    void this.#settleEndings().then(() => this.#resolveEnded(end))
  }

  // What operations use.

  keepFile(path: VirtualPath, transfer: OpenTransfer, can: OpenedFor): Reply {
    const line = this.handles.lineOf(path) ?? new FileLine(this)
    return this.#keep({ kind: 'file', path, transfer, line, ending: false, ...can })
  }

  keepDirectory(path: VirtualPath, listing: UserListing): Reply {
    const line = new FileLine(this)
    return this.#keep({ kind: 'directory', path, listing, line, leftover: [], ending: false })
  }

  // What lines use.

  answer(receipt: Receipt, reply: Reply): void {
    if (this.over) return
    this.#outbox.reply(receipt.id, reply)
    this.#answered(receipt)
  }

  answerError(receipt: Receipt, error: unknown): void {
    if (!(error instanceof FileError)) this.#log.error('sftp request failed', { error: messageOf(error) })
    else if (this.#log.isEnabled('debug'))
      this.#log.debug('sftp request refused', { code: error.code, reason: error.message })
    this.answer(receipt, statusReply(statusOf(error)))
  }

  answerData(receipt: Receipt, buffer: Buffer, length: number): void {
    if (this.over) return this.#buffers.give(buffer)
    this.#outbox.data(receipt.id, buffer, length)
    this.#answered(receipt)
  }

  lend(length: number): DataRoom | 'later' | undefined {
    return this.over ? undefined : this.#outbox.lend(length)
  }

  waitForRoom(line: FileLine): void {
    this.#reads.wait(line)
  }

  sentAsLent(receipt: Receipt): void {
    this.#answered(receipt)
  }

  beginRead(line: FileLine): Buffer | undefined {
    return this.#reads.begin(line)
  }

  endRead(unused?: Buffer): void {
    this.#reads.end(unused)
  }

  changed(): void {
    this.#schedule.changed()
  }

  // Requests in.

  #pump(): void {
    if (this.#pumping || this.over) return
    this.#pumping = true
    try {
      while (!this.over && this.#mayAccept() && this.#acceptNext());
    } catch (error) {
      // Framing, or a request before INIT: nothing after this can be understood.
      this.#log.debug('sftp protocol error', { error: messageOf(error) })
      this.finish('protocol-error', protocolErrorStatus)
    } finally {
      this.#pumping = false
    }
    this.#scheduleFlush()
  }

  /** Past a bound the stream is read no further: what it holds then is bounded by its own window. */
  #mayAccept(): boolean {
    return (
      !this.#outbox.full &&
      this.outstanding < this.#bounds.requests &&
      this.#heldBytes < this.#bounds.writeBytes &&
      !this.#schedule.crowded
    )
  }

  #acceptNext(): boolean {
    const cost = this.#reader.next(this.#fields)
    if (cost === 0) {
      if (this.#inputEnded && this.outstanding === 0) this.finish('client-ended')
      return false
    }
    const type = this.#fields.u8()
    if (type === requestType.init) this.#greet(cost)
    else if (this.#phase === 'greeting') throw new FileError('bad-message', 'Cannot answer before INIT')
    else this.#accept(type, cost)
    this.#fields.release()
    return true
  }

  /** Extension pairs of the client follow its version; none of them changes anything here. */
  #greet(cost: number): void {
    const { version = '0.1.0', allows = () => true } = this.#options
    this.#phase = 'open'
    const offered = extensions.filter(({ operation, works }) => allows(operation.name) && works(this.files))
    this.#outbox.version([
      ...offered.map(({ wireName, data }) => [wireName, data] as const),
      [vendorExtension.wireName, vendorData(version)],
    ])
    this.#stream.consumed(cost)
  }

  #accept(type: number, cost: number): void {
    this.requests += 1
    this.outstanding += 1
    this.#heldBytes += cost
    const receipt: Receipt = { id: this.#fields.u32(), cost, order: this.requests }
    let task: Task
    try {
      const operation = this.#operationOf(type)
      if (operation === undefined) return this.answer(receipt, statusReply(unsupportedStatus))
      if (!this.#allowed(operation)) return this.answer(receipt, statusReply(deniedStatus))
      task = operation.begin(this.#fields, this)
    } catch (error) {
      return this.answerError(receipt, error)
    }
    this.#schedule.begin(task, receipt)
  }

  #operationOf(type: number): Operation | undefined {
    if (type !== requestType.extended) return operations[type]
    const name = this.#fields.string()
    const extension = [...extensions, vendorExtension].find(({ wireName }) => wireName === name)
    return extension?.works(this.files) === true ? extension.operation : undefined
  }

  #allowed(operation: Operation): boolean {
    if (this.readOnly && operation.writes) return false
    return this.#options.allows?.(operation.name) ?? true
  }

  #run(run: () => Soon<Reply>, receipt: Receipt, done: () => void): void {
    settle(
      () => {
        const value = run()
        if (value instanceof Promise) this.#track(value)
        return value
      },
      (reply) => {
        done()
        this.answer(receipt, reply)
      },
      (error) => {
        done()
        this.answerError(receipt, error)
      },
    )
  }

  // Replies out.

  #answered({ cost }: Receipt): void {
    this.outstanding -= 1
    this.#heldBytes -= cost
    this.#stream.consumed(cost)
    this.#scheduleFlush()
    this.#pump()
  }

  /** After everything that arrives in this turn: one packet then carries many small replies. */
  #scheduleFlush(): void {
    if (this.#flushing || this.over || !this.#outbox.gathers) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      if (!this.over) this.#outbox.flush()
    })
  }

  // The end.

  #keep(opened: Opened): Reply {
    if (!this.over) return { is: 'handle', number: this.handles.add(opened) }
    this.handles.cancel()
    this.#track(this.#interrupt(opened))
    return { is: 'handle', number: 0 }
  }

  async #interrupt(opened: Opened): Promise<void> {
    if (opened.kind === 'file') opened.transfer.hurry?.()
    await opened.line.drain()
    if (opened.ending) return
    opened.ending = true
    if (opened.kind === 'file') await opened.transfer.interrupt()
    else await opened.listing.close()
  }

  #track(ending: Promise<unknown>): void {
    this.#endings.add(ending)
    const forget = (): void => {
      this.#endings.delete(ending)
    }
    ending.then(forget, (error: unknown) => {
      forget()
      if (this.over) this.#log.debug('sftp session ended untidily', { error: messageOf(error) })
    })
  }

  async #settleEndings(): Promise<void> {
    while (this.#endings.size > 0) await Promise.allSettled(this.#endings)
  }
}
