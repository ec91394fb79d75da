import type { Socket } from 'node:net'
import {
  byteAt,
  flags,
  FrameCutter,
  framesOf,
  headBytes,
  Http2Fault,
  kinds,
  numbers,
  preface,
  reasons,
} from './frames.ts'
import { BlockReader } from './hpack.ts'
import { Outlet } from './outlet.ts'
import { Sending, widened, type WholeAnswer } from './sending.ts'
import {
  connectionWindow,
  defaultWindow,
  largestWindow,
  longestBlock,
  mostServed,
  readSettings,
  settingsFrame,
  streamWindow,
} from './settings.ts'
import { Stream, type StreamEnd, type StreamReader } from './stream.ts'

/** How a connection behaves. */
export interface ConnectionOptions {
  /** The answering side: gives the reader of each question's stream. Absent: the asking side. */
  readonly onStream?: (stream: Stream) => StreamReader
}

/**
 * HTTP/2 on a socket as far as gRPC needs it, without priorities, pushes and upgrades. Everything that arrives is taken
 * for hostile: lengths, windows, numbers of streams and the order of frames are checked, and what waits is bounded. Why
 * it is not `node:http2`: docs/decisions/055-own-http2.md.
 */
export class Http2Connection {
  readonly #outlet: Outlet
  readonly #sending: Sending
  readonly #streams = new Map<number, Stream>()
  readonly #cutter: FrameCutter
  readonly #blocks = new BlockReader(longestBlock)
  readonly #onStream: ConnectionOptions['onStream']
  #block:
    { readonly id: number; readonly ended: boolean; readonly pieces: Buffer[]; size: number } | undefined
  #receiveWindow = connectionWindow
  /** The last stream of the other side. */
  #lastId = 0
  #greeted = false
  #leaving = false
  #destroyed = false
  #fault: Error | undefined

  constructor(socket: Socket, { onStream }: ConnectionOptions = {}) {
    this.#onStream = onStream
    this.#outlet = new Outlet(socket)
    this.#sending = new Sending({
      ...{ outlet: this.#outlet, streams: this.#streams },
      onSaid: (stream) => {
        if (stream.remoteEnded) this.#close(stream, { how: 'done' })
        // Who was answered need not go on asking.
        else if (onStream !== undefined) this.reset(stream, reasons.none)
      },
    })
    this.#cutter = new FrameCutter(this.#take, onStream && preface)
    if (onStream === undefined) this.#outlet.push(preface)
    this.#outlet.push(settingsFrame(onStream === undefined ? 'asking' : 'answering'))
    this.#outlet.push(
      framesOf(0, { kind: kinds.windowUpdate, payload: numbers(connectionWindow - defaultWindow) }),
    )
    socket
      .on('data', (bytes: Buffer) => this.#read(bytes))
      .on('drain', () => this.#sending.resume())
      .once('end', () => this.destroy())
      .once('close', () => this.destroy())
  }

  /** Whether streams can be opened. */
  get isOpen(): boolean {
    return !this.#destroyed && !this.#leaving && !this.#sending.isUsedUp
  }

  /** What the other side did wrong, if that is why the connection ended. */
  get fault(): Error | undefined {
    return this.#fault
  }

  /** Opens a stream, at once or when the other side takes one more. With `body` nothing follows it. */
  open(block: Buffer, reader: StreamReader, body?: Buffer): Stream {
    const stream = new Stream()
    stream.reader = reader
    stream.opening = block
    if (body !== undefined) {
      stream.unsent = [body]
      stream.unsentEnd = 'end'
    }
    this.#sending.open(stream)
    return stream
  }

  /** Says a whole answer. */
  answer(stream: Stream, answer: WholeAnswer): void {
    this.#sending.answer(stream, answer)
  }

  /** Sends fields; `ended`: and nothing more. */
  sendFields(stream: Stream, block: Buffer, ended = false): void {
    this.#sending.fields(stream, block, ended)
  }

  /** Sends a piece of the body. False: it waits, and `onDrain` comes when it is on its way. */
  send(stream: Stream, bytes: Buffer): boolean {
    if (stream.closed) return true
    stream.unsent.push(bytes)
    this.#sending.advance(stream)
    return stream.unsent.length === 0
  }

  /** Says that after what was sent come these fields and nothing more. */
  finish(stream: Stream, trailers: Buffer): void {
    stream.unsentEnd = trailers
    this.#sending.advance(stream)
  }

  /** Lets the other side send as much again. */
  grant(stream: Stream, bytes: number): void {
    stream.grantable += bytes
    if (stream.grantable < streamWindow / 2 || stream.remoteEnded || stream.closed) return
    this.#outlet.push(framesOf(stream.id, { kind: kinds.windowUpdate, payload: numbers(stream.grantable) }))
    stream.receiveWindow += stream.grantable
    stream.grantable = 0
  }

  /** Gives a stream up. Its reader hears no more than `onEnd`. */
  reset(stream: Stream, code: number): void {
    if (stream.closed) return
    if (stream.id !== 0) this.#outlet.push(framesOf(stream.id, { kind: kinds.reset, payload: numbers(code) }))
    this.#close(stream, { how: 'reset', code })
  }

  /** Ends the connection and all its streams now. */
  destroy(fault?: Http2Fault): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#fault = fault
    const farewell = fault && numbers(this.#lastId, reasons[fault.reason])
    this.#outlet.close(farewell && framesOf(0, { kind: kinds.goAway, payload: farewell }))
    for (const stream of [...this.#streams.values(), ...this.#sending.waiting])
      this.#close(stream, { how: 'disconnected' })
  }

  #close(stream: Stream, end: StreamEnd): void {
    if (stream.closed) return
    stream.closed = true
    stream.unsent = []
    this.#streams.delete(stream.id)
    this.#sending.forget(stream)
    stream.reader.onEnd(end)
    if (this.#destroyed) return
    if (!this.isOpen && this.#streams.size === 0) this.destroy()
    else this.#sending.resume()
  }

  #read(bytes: Buffer): void {
    try {
      if (!this.#destroyed) this.#cutter.push(bytes)
    } catch (error) {
      this.destroy(error instanceof Http2Fault ? error : new Http2Fault('internal', String(error)))
    }
  }

  readonly #take = (kind: number, flag: number, id: number, payload: Buffer): void => {
    // What follows a frame that ended the connection is not looked at.
    if (this.#destroyed) return
    if (this.#block !== undefined && (kind !== kinds.continuation || id !== this.#block.id))
      throw new Http2Fault('protocol', 'A block of fields is interrupted')
    if (!this.#greeted && kind !== kinds.settings)
      throw new Http2Fault('protocol', 'It does not begin with settings')
    // Other frames are ignored, as the protocol wants it: that is how it grows.
    switch (kind) {
      case kinds.data:
        return this.#onData(id, flag, payload)
      case kinds.headers:
        return this.#onHeaders(id, flag, payload)
      case kinds.continuation:
        return this.#onContinuation(id, flag, payload)
      case kinds.priority:
        return expectSize(payload, 5)
      case kinds.reset:
        return this.#onReset(id, payload)
      case kinds.settings:
        return this.#onSettings(id, flag, payload)
      case kinds.pushPromise:
        throw new Http2Fault('protocol', 'Nothing can be pushed here')
      case kinds.ping:
        return this.#onPing(id, flag, payload)
      case kinds.goAway:
        return this.#onGoAway(id, payload)
      case kinds.windowUpdate:
        return this.#onWindowUpdate(id, payload)
    }
  }

  #onData(id: number, flag: number, payload: Buffer): void {
    const { length } = payload
    this.#receiveWindow -= length
    if (this.#receiveWindow < 0)
      throw new Http2Fault('flowControl', 'It sends more than the connection takes')
    // Given back at once: what a reader leaves lying is bounded by its own stream.
    if (this.#receiveWindow < connectionWindow / 2) {
      this.#outlet.pushAnswer(
        framesOf(0, { kind: kinds.windowUpdate, payload: numbers(connectionWindow - this.#receiveWindow) }),
      )
      this.#receiveWindow = connectionWindow
    }
    const stream = this.#known(id)
    if (stream === undefined) return
    if (stream.remoteEnded) return this.#wrong(stream, reasons.streamClosed)
    stream.receiveWindow -= length
    if (stream.receiveWindow < 0) return this.#wrong(stream, reasons.flowControl)
    const bytes = unpadded(flag, payload)
    const ended = (flag & flags.endStream) !== 0
    if (bytes.length < length) this.grant(stream, length - bytes.length)
    stream.remoteEnded = ended
    if (bytes.length > 0 || ended) stream.reader.onBytes(bytes, ended)
    if (ended) this.#heardAll(stream)
  }

  #onHeaders(id: number, flag: number, payload: Buffer): void {
    const block = unpadded(flag, payload)
    const from = (flag & flags.priority) === 0 ? 0 : 5
    if (block.length < from) throw new Http2Fault('frameSize', 'A priority is cut')
    this.#block = { id, ended: (flag & flags.endStream) !== 0, pieces: [], size: 0 }
    this.#onContinuation(id, flag, from === 0 ? block : block.subarray(from))
  }

  #onContinuation(id: number, flag: number, piece: Buffer): void {
    const block = this.#block
    if (block === undefined) throw new Http2Fault('protocol', `Nothing is to be continued on ${id}`)
    block.pieces.push(piece)
    // An empty piece counts too: a block of nothing else would have no end.
    block.size += piece.length + headBytes
    if (block.size > longestBlock) throw new Http2Fault('calm', 'A block of fields is too long')
    if ((flag & flags.endHeaders) === 0) return
    this.#block = undefined
    const [only, ...more] = block.pieces
    const whole = only !== undefined && more.length === 0 ? only : Buffer.concat(block.pieces)
    const { fields, valid } = this.#blocks.read(whole)
    const stream = this.#isNew(id) ? this.#accepted(id, valid) : this.#known(id)
    if (stream === undefined) return
    if (!valid) return this.#wrong(stream, reasons.protocol)
    if (stream.remoteEnded) return this.#wrong(stream, reasons.streamClosed)
    stream.remoteEnded = block.ended
    stream.reader.onFields(fields, block.ended)
    if (block.ended) this.#heardAll(stream)
  }

  #isNew(id: number): boolean {
    return this.#onStream !== undefined && id % 2 === 1 && id > this.#lastId
  }

  /** The stream that the other side begins; undefined when it is one too many. */
  #accepted(id: number, valid: boolean): Stream | undefined {
    this.#lastId = id
    if (!valid || this.#leaving || this.#streams.size >= mostServed || this.#onStream === undefined) {
      this.#outlet.pushAnswer(
        framesOf(id, { kind: kinds.reset, payload: numbers(valid ? reasons.refused : reasons.protocol) }),
      )
      return undefined
    }
    const stream = new Stream()
    stream.reader = this.#onStream(stream)
    stream.id = id
    this.#sending.accept(stream)
    this.#streams.set(id, stream)
    return stream
  }

  #heardAll(stream: Stream): void {
    if (stream.closed) return
    if (stream.localEnded) return this.#close(stream, { how: 'done' })
    if (this.#onStream !== undefined) return
    // An answer that is over ends the question too, however much of it is left to say.
    this.#outlet.pushAnswer(framesOf(stream.id, { kind: kinds.reset, payload: numbers(reasons.cancel) }))
    this.#close(stream, { how: 'done' })
  }

  #onReset(id: number, payload: Buffer): void {
    expectSize(payload, 4)
    const stream = this.#known(id)
    if (stream !== undefined) this.#close(stream, { how: 'reset', code: payload.readUInt32BE(0) })
  }

  #onSettings(id: number, flag: number, payload: Buffer): void {
    expectConnection(id)
    if ((flag & flags.ack) !== 0) return expectSize(payload, 0)
    // Who does not say how many streams it takes takes any number.
    if (!this.#greeted) this.#sending.mostStreams = Infinity
    this.#greeted = true
    for (const [name, value] of readSettings(payload)) {
      for (const stream of this.#sending.set(name, value)) this.#wrong(stream, reasons.flowControl)
    }
    this.#outlet.pushAnswer(framesOf(0, { kind: kinds.settings, flag: flags.ack, payload: Buffer.alloc(0) }))
    this.#sending.resume()
  }

  #onPing(id: number, flag: number, payload: Buffer): void {
    expectConnection(id)
    expectSize(payload, 8)
    if ((flag & flags.ack) !== 0) return
    this.#outlet.pushAnswer(framesOf(0, { kind: kinds.ping, flag: flags.ack, payload }))
  }

  #onGoAway(id: number, payload: Buffer): void {
    expectConnection(id)
    if (payload.length < 8) throw new Http2Fault('frameSize', 'A farewell is cut')
    this.#leaving = true
    if (payload.readUInt32BE(4) !== reasons.none || this.#streams.size === 0) return this.destroy()
    const last = payload.readUInt32BE(0) & 0x7fffffff
    const taken = (stream: Stream): boolean =>
      this.#onStream !== undefined || (stream.id !== 0 && stream.id <= last)
    for (const stream of [...this.#streams.values(), ...this.#sending.waiting])
      if (!taken(stream)) this.#close(stream, { how: 'disconnected' })
  }

  #onWindowUpdate(id: number, payload: Buffer): void {
    expectSize(payload, 4)
    const more = payload.readUInt32BE(0) & largestWindow
    if (id === 0) {
      if (more === 0 || !this.#sending.widen(more))
        throw new Http2Fault('flowControl', 'The window of the connection is wrong')
      return this.#sending.resume()
    }
    const stream = this.#known(id)
    if (stream === undefined) return
    if (more === 0 || !widened(stream, more)) return this.#wrong(stream, reasons.flowControl)
    this.#sending.resume()
  }

  /** The stream of this number; undefined when it is over. Throws for one that never was. */
  #known(id: number): Stream | undefined {
    const stream = this.#streams.get(id)
    const last = this.#onStream === undefined ? this.#sending.lastId : this.#lastId
    if (stream === undefined && (id % 2 === 0 || id > last))
      throw new Http2Fault('protocol', `There was never a stream ${id}`)
    return stream
  }

  #wrong(stream: Stream, code: number): void {
    this.#outlet.pushAnswer(framesOf(stream.id, { kind: kinds.reset, payload: numbers(code) }))
    this.#close(stream, { how: 'reset', code })
  }
}

function unpadded(flag: number, payload: Buffer): Buffer {
  if ((flag & flags.padded) === 0) return payload
  const padding = byteAt(payload, 0)
  if (payload.length < 1 + padding) throw new Http2Fault('protocol', 'There is more padding than frame')
  return payload.subarray(1, payload.length - padding)
}

function expectSize(payload: Buffer, bytes: number): void {
  if (payload.length !== bytes)
    throw new Http2Fault('frameSize', `A frame of ${payload.length} bytes has another length`)
}

function expectConnection(id: number): void {
  if (id !== 0) throw new Http2Fault('protocol', 'What concerns the connection comes on a stream')
}
