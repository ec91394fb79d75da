import type { Http2Connection } from './http2/connection.ts'
import { blockOf, type Fields } from './http2/hpack.ts'
import { mostServed } from './http2/settings.ts'
import type { Stream, StreamEnd, StreamReader } from './http2/stream.ts'
import { strictReader } from './codec.ts'
import { FrameReader, frameOf } from './framing.ts'
import { BodyQueue } from './incoming.ts'
import type { Announcements, MethodDescription } from './service.ts'
import { status, statusOf, type WireStatus } from './status.ts'

/** What a handler may know about the call it answers. */
export interface ServerCall {
  /** Fires when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** What travelled beside the request; binary values are left out. */
  readonly metadata: Readonly<Record<string, string>>
  /** How long the caller waits, or undefined when it did not say. */
  readonly remainingMs: number | undefined
}

/** A method and who answers it. */
export interface ServedMethod {
  readonly method: MethodDescription
  // `serve` takes handlers only in the shapes that the description says, and checks them by type.
  readonly answer: (input: unknown, call: ServerCall) => unknown
}

/** What the calls of one connection share. */
export interface Desk {
  readonly connection: Http2Connection
  /** By path, as in `/proto.Auth/CheckUserAndPass`. */
  readonly methods: ReadonlyMap<string, ServedMethod>
  /** What `headOfAnswers` made: the fields that begin every answer. */
  readonly head: Buffer
  /** Handlers at work, whether or not somebody still waits for their answer. */
  working: number
}

/** The fields that begin every answer of a server that says this of itself. */
export function headOfAnswers(announces: Announcements = {}): Buffer {
  return blockOf([...headFields, ...Object.entries(announces)])
}

/** Answers one question: the reader of its stream. */
export function answerStream(desk: Desk, stream: Stream): StreamReader {
  return new Answering(desk, stream)
}

/** The life of one call on its stream. A class because several events of the stream begin and end it, and only once. */
class Answering implements StreamReader {
  readonly #connection: Http2Connection
  readonly #stream: Stream
  readonly #desk: Desk
  #served: ServedMethod | undefined
  #fields: Fields = new Map()
  #until: number | undefined
  #timer: NodeJS.Timeout | undefined
  #controller: AbortController | undefined
  #messages: FrameReader | undefined
  #request: Buffer | undefined
  #body: BodyQueue | undefined
  #begun = false
  #over = false
  #wake = (): void => {}

  constructor(desk: Desk, stream: Stream) {
    this.#desk = desk
    this.#connection = desk.connection
    this.#stream = stream
  }

  onFields(fields: Fields, ended: boolean): void {
    // Trailers of a question say nothing that anybody asks for.
    if (this.#served === undefined) this.#begin(fields)
    if (ended) this.#heardAll()
  }

  onBytes(bytes: Buffer, ended: boolean): void {
    if (this.#body !== undefined) this.#body.onBytes(bytes, ended)
    else {
      this.#connection.grant(this.#stream, bytes.length)
      this.#take(bytes)
    }
    if (ended) this.#heardAll()
  }

  onDrain(): void {
    this.#wake()
  }

  onEnd(end: StreamEnd): void {
    clearTimeout(this.#timer)
    this.#body?.onEnd()
    this.#wake()
    if (this.#over && end.how === 'done') return
    this.#over = true
    this.#controller?.abort()
  }

  #begin(fields: Fields): void {
    this.#fields = fields
    const path = fields.get(':path') ?? ''
    const served = this.#desk.methods.get(path)
    if (fields.get('content-type')?.startsWith('application/grpc') !== true) return this.#refuseHttp()
    if (served === undefined) {
      return this.#fail({
        code: status.unimplemented,
        text: `The server does not implement the method ${path}`,
      })
    }
    const packing = fields.get('grpc-encoding') ?? 'identity'
    if (packing !== 'identity') {
      const text = `Messages packed with "${packing}" are not read here`
      return this.#fail({ code: status.unimplemented, text }, [['grpc-accept-encoding', 'identity']])
    }
    this.#served = served
    this.#keepTime(fields.get('grpc-timeout'))
    if (served.method.requestStream) {
      this.#body = new BodyQueue()
      void this.#pump(served, this.#incoming(served.method, this.#body))
    } else this.#messages = new FrameReader(Infinity)
  }

  #take(bytes: Buffer): void {
    if (this.#messages === undefined || this.#over) return
    try {
      for (const message of this.#messages.push(bytes)) {
        if (this.#request !== undefined) throw new Error('There is more than one message')
        this.#request = message
      }
    } catch (error) {
      this.#fail({ code: status.internal, text: statusOf(error).text })
    }
  }

  #heardAll(): void {
    const served = this.#served
    if (this.#over || this.#messages === undefined || served === undefined) return
    if (this.#request === undefined || !this.#messages.isEmpty)
      return this.#fail({ code: status.internal, text: 'There is no whole message' })
    let request: unknown
    try {
      request = decoded(served.method, this.#request)
    } catch (error) {
      return this.#fail({
        code: status.internal,
        text: `The message cannot be read: ${statusOf(error).text}`,
      })
    }
    // Who asks and gives up at once, again and again, would otherwise have any number of them at work.
    if (this.#desk.working >= mostServed)
      return this.#fail({ code: status.resourceExhausted, text: `${mostServed} calls are answered already` })
    if (served.method.responseStream) void this.#pump(served, request)
    else void this.#answerOnce(served, request)
  }

  async #answerOnce({ method, answer }: ServedMethod, request: unknown): Promise<void> {
    this.#desk.working += 1
    try {
      const reply = await answer(request, this.#call())
      const message = frameOf(method.responseType.encode(reply).finish())
      const { head } = this.#desk
      if (this.#finish()) this.#connection.answer(this.#stream, { head, message, trailers: good })
    } catch (error) {
      this.#fail(statusOf(error))
    } finally {
      this.#desk.working -= 1
    }
  }

  /** Sends what the handler yields as fast as the other side reads, until either ends. */
  async #pump({ method, answer }: ServedMethod, input: unknown): Promise<void> {
    try {
      this.#begun = true
      this.#connection.sendFields(this.#stream, this.#desk.head)
      // Streaming handlers return an iterable: see `Handlers`.
      for await (const message of answer(input, this.#call()) as AsyncIterable<unknown>) {
        if (this.#over) return
        const frame = frameOf(method.responseType.encode(message).finish())
        if (!this.#connection.send(this.#stream, frame)) await this.#drained()
      }
      if (this.#finish()) this.#connection.finish(this.#stream, good)
    } catch (error) {
      this.#fail(statusOf(error))
    }
  }

  async *#incoming(method: MethodDescription, body: BodyQueue): AsyncGenerator<unknown, void, void> {
    const messages = new FrameReader(Infinity)
    for (let piece = await body.next(); piece !== undefined; piece = await body.next()) {
      this.#connection.grant(this.#stream, piece.length)
      for (const message of messages.push(piece)) yield decoded(method, message)
    }
  }

  #drained(): Promise<void> {
    if (this.#over) return Promise.resolve()
    return new Promise((resolve) => (this.#wake = resolve))
  }

  #keepTime(field: string | undefined): void {
    const waitMs = millisecondsOf(field)
    if (waitMs === undefined) return
    this.#until = Date.now() + waitMs
    this.#timer = setTimeout(
      () => {
        this.#fail({ code: status.deadlineExceeded, text: 'Deadline exceeded' })
        this.#controller?.abort()
      },
      Math.min(waitMs, longestTimerMs),
    )
  }

  #refuseHttp(): void {
    if (this.#finish()) this.#connection.sendFields(this.#stream, blockOf([[':status', '415']]), true)
  }

  #fail({ code, text }: WireStatus, more: Pairs = []): void {
    if (!this.#finish()) return
    const said: Pairs = [...more, ['grpc-status', String(code)], ['grpc-message', escaped(text)]]
    if (this.#begun) this.#connection.finish(this.#stream, blockOf(said))
    else {
      const fields = Buffer.concat([this.#desk.head, blockOf(said)])
      this.#connection.sendFields(this.#stream, fields, true)
    }
  }

  /** False: it was over already. */
  #finish(): boolean {
    if (this.#over) return false
    this.#over = true
    clearTimeout(this.#timer)
    return true
  }

  #call(): ServerCall {
    const signal = (): AbortSignal => {
      this.#controller ??= new AbortController()
      if (this.#over) this.#controller.abort()
      return this.#controller.signal
    }
    const fields = this.#fields
    const until = this.#until
    return {
      // Made when it is asked for: most handlers are done before anybody could lose patience.
      get signal() {
        return signal()
      },
      get metadata() {
        return Object.fromEntries([...fields].filter(([name]) => isMetadata(name)))
      },
      get remainingMs() {
        return until === undefined ? undefined : Math.max(0, until - Date.now())
      },
    }
  }
}

/** A longer time is none for the timers of Node. */
const longestTimerMs = 0x7fffffff

type Pairs = readonly (readonly [string, string])[]

const headFields: Pairs = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]
const good = blockOf([['grpc-status', '0']])

function decoded(method: MethodDescription, message: Buffer): unknown {
  return method.requestType.decode(strictReader(message)) as unknown
}

function isMetadata(name: string): boolean {
  return !name.startsWith(':') && !name.endsWith('-bin') && !ownFields.includes(name)
}

const ownFields = [
  'content-type',
  'te',
  'grpc-timeout',
  'grpc-encoding',
  'grpc-accept-encoding',
  'accept-encoding',
]

/** `100m` is a hundred milliseconds; what is no such time is none. */
function millisecondsOf(field: string | undefined): number | undefined {
  const [, count, unit] = /^(\d{1,8})([HMSmun])$/.exec(field ?? '') ?? []
  const factor = unit === undefined ? undefined : unitMs[unit]
  return factor === undefined ? undefined : Number(count) * factor
}

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
}

/** A text as the field `grpc-message` holds it, shortened to what every host takes. */
function escaped(text: string): string {
  const shortened = text.slice(0, longestText).replace(/\p{Cs}/gu, '\ufffd')
  return shortened.replace(/[^\x20-\x24\x26-\x7e]/gu, (letter) => encodeURIComponent(letter))
}

const longestText = 4_096
