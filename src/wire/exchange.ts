import {
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { PluginError } from '../base/errors.ts'
import { FrameReader, frameOf } from './framing.ts'
import { errorOf, status } from './status.ts'

/** One question to a plugin. */
export interface Question {
  /** `/package.Service/Method` */
  readonly path: string
  readonly message: Uint8Array
  readonly timeoutMs: number
  readonly limitBytes: number
  /** Shared with all other questions of the connection. */
  readonly room: AnswerRoom
  readonly signal?: AbortSignal | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** How much all answers under way may hold together. */
export interface AnswerRoom {
  leftBytes: number
}

/** Asks one question and gives the bytes of the answer. Throws only `PluginError`. */
export function exchange(session: ClientHttp2Session, question: Question): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (question.signal?.aborted === true) return reject(cancelled(question.path))
    const stream = openStream(session, headersOf(question))
    if (stream instanceof PluginError) return reject(stream)
    new Exchange(session, stream, question, resolve, reject).start()
  })
}

/** A stream on the session, or why there is none. */
export function openStream(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
): ClientHttp2Stream | PluginError {
  if (session.destroyed || session.closed) return connectionEnded()
  try {
    return session.request(headers)
  } catch (cause) {
    return connectionEnded(cause)
  }
}

/** The headers that every call has. */
export function headersOf(question: Pick<Question, 'path' | 'metadata'> & { readonly timeoutMs?: number }) {
  const { path, timeoutMs, metadata } = question
  const headers: OutgoingHttpHeaders = {
    ':method': 'POST',
    ':path': path,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'sftpgo-ts',
  }
  if (timeoutMs !== undefined) headers['grpc-timeout'] = `${Math.min(Math.ceil(timeoutMs), 99_999_999)}m`
  if (metadata !== undefined) addMetadata(headers, metadata)
  return headers
}

/** The status that ends a call, or undefined when `headers` has none. */
export function statusIn(headers: IncomingHttpHeaders): { code: number; text: string } | undefined {
  const field = headers['grpc-status']
  if (typeof field !== 'string' || !/^\d{1,9}$/.test(field)) return undefined
  const message = headers['grpc-message']
  return { code: Number(field), text: typeof message === 'string' ? shownText(message) : '' }
}

/** The error of a call whose connection is no longer there. */
export function connectionEnded(cause?: unknown): PluginError {
  return new PluginError('exited', 'The connection to the plugin has ended', { cause })
}

/** The life of one unary call on its stream. A class because several events of the stream end it, and only once. */
class Exchange {
  readonly #session: ClientHttp2Session
  readonly #stream: ClientHttp2Stream
  readonly #question: Question
  readonly #resolve: (answer: Buffer) => void
  readonly #reject: (error: PluginError) => void
  readonly #reader: FrameReader
  #timer: NodeJS.Timeout | undefined
  #answer: Buffer | undefined
  #headers: (IncomingHttpHeaders & IncomingHttpStatusHeader) | undefined
  #trailers: IncomingHttpHeaders | undefined
  #settled = false
  #heldBytes = 0

  constructor(
    session: ClientHttp2Session,
    stream: ClientHttp2Stream,
    question: Question,
    resolve: (answer: Buffer) => void,
    reject: (error: PluginError) => void,
  ) {
    this.#session = session
    this.#stream = stream
    this.#question = question
    this.#resolve = resolve
    this.#reject = reject
    this.#reader = new FrameReader(question.limitBytes)
  }

  start(): void {
    const { signal, timeoutMs, message } = this.#question
    this.#timer = setTimeout(this.#onDeadline, timeoutMs)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#stream
      .on('response', (headers) => (this.#headers = headers))
      .on('trailers', (trailers) => (this.#trailers = trailers))
      .on('data', this.#onData)
      .on('close', this.#onClose)
      // 'close' follows and says the same.
      .on('error', () => {})
      .end(frameOf(message))
  }

  readonly #onDeadline = (): void => {
    const { path, timeoutMs } = this.#question
    this.#abandon(new PluginError('deadline', `${quotedName(path)} did not answer within ${timeoutMs} ms`))
  }

  readonly #onAbort = (): void => this.#abandon(cancelled(this.#question.path))

  readonly #onData = (bytes: Buffer): void => {
    if (this.#settled) return
    try {
      this.#hold(bytes.length)
      for (const message of this.#reader.push(bytes)) this.#take(message)
    } catch (error) {
      // The reader throws nothing else.
      this.#abandon(error as PluginError)
    }
  }

  #hold(sizeBytes: number): void {
    const { room, path } = this.#question
    this.#heldBytes += sizeBytes
    room.leftBytes -= sizeBytes
    if (room.leftBytes < 0)
      throw new PluginError('too-large', `${quotedName(path)}: the answers under way are too large together`)
  }

  #take(message: Buffer): void {
    if (this.#answer !== undefined) throw malformed(this.#question.path, 'more than one message')
    this.#answer = message
  }

  readonly #onClose = (): void => {
    if (this.#settled) return
    const said = (this.#trailers && statusIn(this.#trailers)) ?? (this.#headers && statusIn(this.#headers))
    if (said === undefined) return this.#settle(this.#statusMissing())
    if (said.code !== status.ok) return this.#settle(errorOf(said, nameOf(this.#question.path)))
    if (this.#answer === undefined || !this.#reader.isEmpty) {
      return this.#settle(malformed(this.#question.path, 'no whole message'))
    }
    this.#settle(this.#answer)
  }

  #statusMissing(): PluginError {
    const http = this.#headers?.[':status']
    if (http !== undefined && http !== 200) return malformed(this.#question.path, `HTTP status ${http}`)
    if (this.#session.destroyed || this.#session.closed) return connectionEnded()
    const { rstCode } = this.#stream
    if (rstCode === constants.NGHTTP2_REFUSED_STREAM || rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM) {
      return new PluginError('overloaded', `${quotedName(this.#question.path)} was not taken by the plugin`)
    }
    return malformed(this.#question.path, `no status (stream error ${rstCode})`)
  }

  #abandon(error: PluginError): void {
    this.#settle(error)
    this.#stream.close(constants.NGHTTP2_CANCEL)
  }

  #settle(outcome: Buffer | PluginError): void {
    if (this.#settled) return
    this.#settled = true
    this.#question.room.leftBytes += this.#heldBytes
    clearTimeout(this.#timer)
    this.#question.signal?.removeEventListener('abort', this.#onAbort)
    if (outcome instanceof PluginError) this.#reject(outcome)
    else this.#resolve(outcome)
  }
}

function malformed(path: string, found: string): PluginError {
  return new PluginError('malformed-reply', `${quotedName(path)} was answered with ${found}`)
}

function cancelled(path: string): PluginError {
  return new PluginError('cancelled', `${quotedName(path)} was given up: nobody waits for the answer`)
}

function quotedName(path: string): string {
  return `"${nameOf(path)}"`
}

/** `Auth/CheckUserAndPass` of `/proto.Auth/CheckUserAndPass`. */
function nameOf(path: string): string {
  return path.slice(1)
}

/** Header names and values have few letters; what does not fit is escaped, what cannot be a name is left out. */
function addMetadata(headers: OutgoingHttpHeaders, metadata: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[0-9a-z_.-]{1,64}$/.test(name) || name.startsWith('grpc-') || name in headers) continue
    headers[name] = value.replace(/[^\x20-\x7e]|^ | $/gu, (letter) => encodeURIComponent(letter))
  }
}

/** A plugin's words go into logs and onto terminals: bounded, on one line, and nothing that moves a cursor. */
function shownText(message: string): string {
  const text = percentDecoded(message).slice(0, longestText)
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim()
}

const longestText = 1_024

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
