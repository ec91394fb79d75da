import { flags, framesOf, kinds, longestPayload, type Frame } from './frames.ts'
import { forgetAll } from './hpack.ts'
import type { Outlet } from './outlet.ts'
import { defaultTableBytes, defaultWindow, largestWindow, settings } from './settings.ts'
import type { Stream } from './stream.ts'

/** What a connection's sending half needs. */
export interface SendingOptions {
  readonly outlet: Outlet
  /** The open streams by their number, shared with the half that hears. */
  readonly streams: Map<number, Stream>
  /** Told when all that we say on a stream was said. */
  readonly onSaid: (stream: Stream) => void
}

/** All of an answer: two blocks of fields, which fit into a frame each, and the body between them. */
export interface WholeAnswer {
  readonly head: Buffer
  readonly message: Buffer
  readonly trailers: Buffer
}

/**
 * The half of a connection that speaks: no more than the other side takes, of streams and of bytes, and no more than
 * the socket takes.
 */
export class Sending {
  /** How many streams there may be at once: by what RFC 9113 recommends, until the other side says. */
  mostStreams = 100
  readonly #outlet: Outlet
  readonly #streams: Map<number, Stream>
  readonly #onSaid: (stream: Stream) => void
  readonly #waiting = new Set<Stream>()
  readonly #blocked = new Set<Stream>()
  #window = defaultWindow
  #firstWindow = defaultWindow
  #nextId = 1
  #mustForget = false

  constructor({ outlet, streams, onSaid }: SendingOptions) {
    this.#outlet = outlet
    this.#streams = streams
    this.#onSaid = onSaid
  }

  /** Streams whose turn has not come. */
  get waiting(): readonly Stream[] {
    return [...this.#waiting]
  }

  /** The number of the last stream that we began. */
  get lastId(): number {
    return this.#nextId - 2
  }

  /** Whether every number for a stream was used. */
  get isUsedUp(): boolean {
    return this.#nextId > 0x7fffffff
  }

  /** Begins a stream, at once or when it is its turn. */
  open(stream: Stream): void {
    if (this.#waiting.size === 0 && this.#mayBegin()) this.#begin(stream)
    else this.#waiting.add(stream)
  }

  /** Knows a stream that the other side began. */
  accept(stream: Stream): void {
    stream.sendWindow = this.#firstWindow
  }

  fields(stream: Stream, block: Buffer, ended: boolean): void {
    if (stream.closed || stream.localEnded) return
    this.#outlet.push(fieldsFrames(stream.id, this.#prefixed(block), ended))
    if (ended) this.#said(stream)
  }

  /** Says a whole answer: a small one in one piece. */
  answer(stream: Stream, { head, message, trailers }: WholeAnswer): void {
    if (stream.closed || stream.localEnded) return
    const first = this.#prefixed(head)
    if (message.length > this.#most(stream) || this.#outlet.isFull) {
      this.#outlet.push(fieldsFrames(stream.id, first, false))
      stream.unsent = [message]
      stream.unsentEnd = trailers
      return this.advance(stream)
    }
    const frames = framesOf(
      stream.id,
      { kind: kinds.headers, flag: flags.endHeaders, payload: first },
      { kind: kinds.data, payload: message },
      { kind: kinds.headers, flag: flags.endHeaders | flags.endStream, payload: trailers },
    )
    this.#outlet.push(frames)
    this.#spend(stream, message.length)
    this.#said(stream)
  }

  /** Sends of a stream's body and end what the windows and the socket take. */
  advance(stream: Stream): void {
    if (stream.id === 0 || stream.closed || stream.localEnded) return
    for (let [piece, ...later] = stream.unsent; piece !== undefined; [piece, ...later] = stream.unsent) {
      const size = Math.min(piece.length, this.#most(stream))
      if ((size <= 0 && piece.length > 0) || this.#outlet.isFull) return void this.#blocked.add(stream)
      const rest = size < piece.length ? [piece.subarray(size), ...later] : later
      const last = rest.length === 0 && stream.unsentEnd === 'end'
      const payload = piece.subarray(0, size)
      this.#outlet.push(framesOf(stream.id, { kind: kinds.data, flag: last ? flags.endStream : 0, payload }))
      this.#spend(stream, size)
      stream.unsent = rest
      if (last) return this.#said(stream)
    }
    this.#blocked.delete(stream)
    if (stream.unsentEnd === 'none') return stream.reader.onDrain?.()
    if (stream.unsentEnd !== 'end') return this.fields(stream, stream.unsentEnd, true)
    this.#outlet.push(framesOf(stream.id, { kind: kinds.data, flag: flags.endStream, payload: nothing }))
    this.#said(stream)
  }

  /** The socket, a window or the number of streams has room again. */
  resume(): void {
    for (const stream of [...this.#blocked]) {
      if (this.#outlet.isFull) return
      this.#blocked.delete(stream)
      this.advance(stream)
    }
    for (const stream of this.#waiting) {
      if (!this.#mayBegin()) return
      this.#waiting.delete(stream)
      this.#begin(stream)
    }
  }

  /** A stream is over. */
  forget(stream: Stream): void {
    this.#waiting.delete(stream)
    this.#blocked.delete(stream)
  }

  /** Heeds a setting of the other side. Gives the streams whose window it made too large. */
  set(name: number, value: number): readonly Stream[] {
    switch (name) {
      case settings.tableSize:
        // We make nobody remember anything, and have to say so where less than the usual may be.
        if (value < defaultTableBytes) this.#mustForget = true
        return []
      case settings.mostStreams:
        this.mostStreams = value
        return []
      case settings.firstWindow: {
        const change = value - this.#firstWindow
        this.#firstWindow = value
        return [...this.#streams.values()].filter((stream) => !widened(stream, change))
      }
      default:
        return []
    }
  }

  /** The other side takes more of the whole connection. False: more than there is. */
  widen(bytes: number): boolean {
    this.#window += bytes
    return this.#window <= largestWindow
  }

  #mayBegin(): boolean {
    return this.#streams.size < this.mostStreams && !this.#outlet.isFull && !this.isUsedUp
  }

  #begin(stream: Stream): void {
    const { opening } = stream
    if (opening === undefined) return
    stream.opening = undefined
    stream.id = this.#nextId
    stream.sendWindow = this.#firstWindow
    this.#nextId += 2
    this.#streams.set(stream.id, stream)
    const block = this.#prefixed(opening)
    if (this.#beginWhole(stream, block)) return
    this.#outlet.push(fieldsFrames(stream.id, block, false))
    this.advance(stream)
  }

  /** The common question, small and whole, goes in one piece. */
  #beginWhole(stream: Stream, block: Buffer): boolean {
    const [body, ...more] = stream.unsent
    if (body === undefined || more.length > 0 || stream.unsentEnd !== 'end') return false
    if (block.length > longestPayload || body.length > this.#most(stream)) return false
    const frames = framesOf(
      stream.id,
      { kind: kinds.headers, flag: flags.endHeaders, payload: block },
      { kind: kinds.data, flag: flags.endStream, payload: body },
    )
    this.#outlet.push(frames)
    this.#spend(stream, body.length)
    stream.unsent = []
    this.#said(stream)
    return true
  }

  /** The longest piece of a body that may go now. */
  #most(stream: Stream): number {
    return Math.min(longestPayload, stream.sendWindow, this.#window)
  }

  #spend(stream: Stream, bytes: number): void {
    stream.sendWindow -= bytes
    this.#window -= bytes
  }

  #said(stream: Stream): void {
    stream.localEnded = true
    this.#onSaid(stream)
  }

  #prefixed(block: Buffer): Buffer {
    if (!this.#mustForget) return block
    this.#mustForget = false
    return Buffer.concat([forgetAll, block])
  }
}

/** Lets a stream send more. False: more than there is. */
export function widened(stream: Stream, bytes: number): boolean {
  stream.sendWindow += bytes
  return stream.sendWindow <= largestWindow
}

/** A block of fields in as many frames as it needs. */
function fieldsFrames(stream: number, block: Buffer, ended: boolean): Buffer {
  const frames: Frame[] = []
  for (let at = 0; at === 0 || at < block.length; at += longestPayload) {
    const begins = at === 0 && ended ? flags.endStream : 0
    const ends = at + longestPayload >= block.length ? flags.endHeaders : 0
    const payload = block.subarray(at, at + longestPayload)
    frames.push({ kind: at === 0 ? kinds.headers : kinds.continuation, flag: begins | ends, payload })
  }
  return framesOf(stream, ...frames)
}

const nothing = Buffer.alloc(0)
