import type { Soon } from '../base/soon.ts'
import type { OpenTransfer } from '../files/user-files.ts'
import { dataHeaderBytes, type DataRoom } from './outbox.ts'
import { statusReply, type Reply } from './reply.ts'
import { eofStatus, okStatus } from './status.ts'
import type { Receipt, Task } from './task.ts'

/** What a line needs of its session. */
export interface LineDesk {
  /** Answers a request; the line does nothing more for it. */
  answer(receipt: Receipt, reply: Reply): void
  answerError(receipt: Receipt, error: unknown): void
  /** Answers a READ with bytes in a pooled buffer, behind room for the header. */
  answerData(receipt: Receipt, buffer: Buffer, length: number): void
  /** Memory of the stream for the data of one READ whose answer leaves at once; undefined where it does not. */
  lend(length: number): DataRoom | 'later' | undefined
  /** Pumps the line when the stream has room. */
  waitForRoom(line: FileLine): void
  /** A READ was answered from such memory. */
  sentAsLent(receipt: Receipt): void
  /** A buffer for one READ, or undefined when enough are under way: the line is called again with `pump`. */
  beginRead(line: FileLine): Buffer | undefined
  /** One READ less under way; `unused` goes back unsent. */
  endRead(unused?: Buffer): void
  /** A change that requests for the file's name wait for is over. */
  changed(): void
  /** The session is over: nothing more is begun or answered. */
  readonly over: boolean
}

type Item =
  | {
      readonly is: 'read'
      readonly receipt: Receipt
      readonly transfer: OpenTransfer
      readonly position: number
      readonly length: number
    }
  | {
      readonly is: 'write'
      readonly receipt: Receipt
      readonly transfer: OpenTransfer
      readonly position: number
      readonly chunks: readonly Buffer[]
      readonly length: number
    }
  | {
      readonly is: 'call'
      readonly receipt: Receipt
      readonly changes: boolean
      readonly run: () => Soon<Reply>
    }
  /** Holds the line from the moment it is reached until `open` is called. */
  | {
      readonly is: 'gate'
      readonly receipt: Receipt
      readonly changes: boolean
      readonly reached: (open: () => void) => void
    }

/** A READ under way, and its answer once it is there: answers leave in the order of the requests. */
interface ReadSlot {
  readonly receipt: Receipt
  readonly buffer: Buffer
  outcome: { readonly bytes: number } | { readonly error: unknown } | undefined
}

/**
 * The requests for one handle, or for all handles of one file, in the order sent. READs run side by side and answer in
 * order; everything else runs alone. WRITEs that wait and touch each other go to the storage as one.
 */
export class FileLine {
  readonly #desk: LineDesk
  readonly #waiting: Item[] = []
  readonly #reads: ReadSlot[] = []
  /** Something that must run alone is running. */
  #alone = false
  #aloneChange: number | undefined
  /** Told once nothing runs. */
  #idle: (() => void)[] = []
  #pumping = false
  /** The latest READ was large and got all it asked for: so will the next. */
  #reading = false

  constructor(desk: LineDesk) {
    this.#desk = desk
  }

  read(receipt: Receipt, { opened: { transfer }, position, length }: Task & { at: 'read' }): void {
    this.#add({ is: 'read', receipt, transfer, position, length })
  }

  write(receipt: Receipt, { opened: { transfer }, position, chunks, length }: Task & { at: 'write' }): void {
    this.#add({ is: 'write', receipt, transfer, position, chunks, length })
  }

  call(receipt: Receipt, changes: boolean, run: () => Soon<Reply>): void {
    this.#add({ is: 'call', receipt, changes, run })
  }

  gate(receipt: Receipt, changes: boolean, reached: (open: () => void) => void): void {
    this.#add({ is: 'gate', receipt, changes, reached })
  }

  /** The place in the order of arrival of the oldest change not yet done; undefined when there is none. */
  get oldestChange(): number | undefined {
    if (this.#aloneChange !== undefined) return this.#aloneChange
    const waiting = this.#waiting.find((item) => item.is === 'write' || (item.is !== 'read' && item.changes))
    return waiting?.receipt.order
  }

  /** Begins what may begin. */
  pump(): void {
    // What answers at once calls back in here; the loop below goes on by itself.
    if (this.#pumping) return
    this.#pumping = true
    while (!this.#alone && !this.#desk.over && this.#startNext());
    this.#pumping = false
    this.#tellIdle()
  }

  #startNext(): boolean {
    const item = this.#waiting[0]
    if (item === undefined) return false
    if (item.is === 'read') {
      if (!this.#startRead(item)) return false
      this.#waiting.shift()
      return true
    }
    if (this.#reads.length > 0) return false
    this.#waiting.shift()
    this.#startAlone(item)
    return true
  }

  /** Drops what waits and resolves once nothing runs. */
  drain(): Promise<void> | undefined {
    this.#waiting.length = 0
    if (!this.#busy) return undefined
    return new Promise((resolve) => {
      this.#idle.push(resolve)
    })
  }

  get #busy(): boolean {
    return this.#alone || this.#reads.length > 0
  }

  #tellIdle(): void {
    if (this.#busy) return
    for (const tell of this.#idle.splice(0)) tell()
  }

  #add(item: Item): void {
    this.#waiting.push(item)
    if (this.#waiting.length === 1) this.pump()
  }

  #startRead(item: Item & { is: 'read' }): boolean {
    if (this.#reading && this.#reads.length === 0) {
      const read = this.#readIntoStream(item)
      if (read === 'later') return false
      if (read) return true
    }
    const buffer = this.#desk.beginRead(this)
    if (buffer === undefined) return false
    const slot: ReadSlot = { receipt: item.receipt, buffer, outcome: undefined }
    this.#reads.push(slot)
    const into = buffer.subarray(dataHeaderBytes, dataHeaderBytes + item.length)
    settle(
      () => item.transfer.read(into, item.position),
      (bytes) => {
        slot.outcome = { bytes }
        this.#reading = bytes >= largeRead && bytes === item.length
        this.#answerReads()
      },
      (error) => {
        slot.outcome = { error }
        this.#answerReads()
      },
    )
    return true
  }

  /** Reads where the answer leaves from, if the disk answers at once: that saves a copy. */
  #readIntoStream({ receipt, transfer, position, length }: Item & { is: 'read' }): boolean | 'later' {
    if (transfer.readNow === undefined || length < largeRead) return false
    const room = this.#desk.lend(length)
    if (room === 'later') {
      this.#desk.waitForRoom(this)
      return room
    }
    if (room === undefined) return false
    try {
      const bytes = transfer.readNow(room.pieces, position)
      if (bytes === undefined) return false
      this.#reading = bytes === length
      if (bytes === 0) this.#desk.answer(receipt, eofReply)
      else {
        room.send(receipt.id, bytes)
        this.#desk.sentAsLent(receipt)
      }
    } catch (error) {
      this.#desk.answerError(receipt, error)
    }
    return true
  }

  /** Sends the answers that are there, up to the first that is not. */
  #answerReads(): void {
    for (let slot = this.#reads[0]; slot?.outcome !== undefined; slot = this.#reads[0]) {
      this.#reads.shift()
      const { outcome, receipt, buffer } = slot
      if ('bytes' in outcome && outcome.bytes > 0) {
        this.#desk.endRead()
        this.#desk.answerData(receipt, buffer, outcome.bytes)
      } else {
        this.#desk.endRead(buffer)
        if ('error' in outcome) this.#desk.answerError(receipt, outcome.error)
        else this.#desk.answer(receipt, eofReply)
      }
    }
    if (this.#waiting.length > 0 || this.#idle.length > 0) this.pump()
  }

  #startAlone(item: Exclude<Item, { is: 'read' }>): void {
    this.#alone = true
    if (item.is === 'write') return this.#startWrite(item)
    this.#aloneChange = item.changes ? item.receipt.order : undefined
    if (item.is === 'gate') return item.reached(() => this.#endAlone())
    settle(
      item.run,
      (reply) => {
        this.#desk.answer(item.receipt, reply)
        this.#endAlone()
      },
      (error) => {
        this.#desk.answerError(item.receipt, error)
        this.#endAlone()
      },
    )
  }

  #startWrite(first: Item & { is: 'write' }): void {
    this.#aloneChange = first.receipt.order
    const batch = this.#takeContiguous(first)
    const chunks = batch.length === 1 ? first.chunks : batch.flatMap((item) => item.chunks)
    settle(
      () => first.transfer.write(chunks, first.position),
      () => {
        for (const { receipt } of batch) this.#desk.answer(receipt, okReply)
        this.#endAlone()
      },
      (error) => {
        for (const { receipt } of batch) this.#desk.answerError(receipt, error)
        this.#endAlone()
      },
    )
  }

  /** The WRITEs in front that continue each other. */
  #takeContiguous(first: Item & { is: 'write' }): (Item & { is: 'write' })[] {
    const batch = [first]
    let end = first.position + first.length
    let pieces = first.chunks.length
    for (let next = this.#waiting[0]; next?.is === 'write'; next = this.#waiting[0]) {
      pieces += next.chunks.length
      if (next.transfer !== first.transfer || next.position !== end || pieces > mostPieces) break
      batch.push(next)
      end += next.length
      this.#waiting.shift()
    }
    return batch
  }

  #endAlone(): void {
    const changed = this.#aloneChange !== undefined
    this.#alone = false
    this.#aloneChange = undefined
    if (changed) this.#desk.changed()
    if (this.#waiting.length > 0 || this.#idle.length > 0) this.pump()
  }
}

/** Below this a copy costs less than packets that are laid out before it is known how much there is. */
const largeRead = 64 * 1024
/** Pieces of one gathered write; the kernel takes at most 1,024. */
const mostPieces = 512
const okReply: Reply = statusReply(okStatus)
const eofReply: Reply = statusReply(eofStatus)

/** Runs `action` and hands its outcome on, in this turn when it is here already. */
export function settle<T>(
  action: () => Soon<T>,
  done: (value: T) => void,
  failed: (error: unknown) => void,
): void {
  let value: Soon<T>
  try {
    value = action()
  } catch (error) {
    return failed(error)
  }
  if (value instanceof Promise) value.then(done, failed)
  else done(value)
}
