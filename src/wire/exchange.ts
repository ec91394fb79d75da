import { PluginError } from '../base/errors.ts'
import { FrameReader, frameOf } from './framing.ts'
import type { Http2Connection } from './http2/connection.ts'
import { reasons } from './http2/frames.ts'
import { blockOf, type Fields } from './http2/hpack.ts'
import type { Stream, StreamEnd, StreamReader } from './http2/stream.ts'
import { errorOf, status } from './status.ts'

/** One question to a plugin. */
export interface Question {
  /** `/package.Service/Method` */
  readonly path: string
  /** What `blockOfCall` made of the path and what else the question says of itself. */
  readonly block: Buffer
  readonly message: Uint8Array
  readonly timeoutMs: number
  readonly limitBytes: number
  /** Hears the fields that began an answer. */
  readonly heard?: ((fields: Fields) => void) | undefined
  /** Shared with all other questions of the connection. */
  readonly room: AnswerRoom
  readonly signal?: AbortSignal | undefined
}

/** How much all answers under way may hold together. */
export interface AnswerRoom {
  leftBytes: number
}

/** Asks one question and gives the bytes of the answer. Throws only `PluginError`. */
export function exchange(connection: Http2Connection, question: Question): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (question.signal?.aborted === true) return reject(cancelled(question.path))
    if (!connection.isOpen) return reject(connectionEnded(connection.fault))
    new Exchange(connection, question, resolve, reject).keepTime()
  })
}

/** The fields that begin a call, ready to be sent: the same for each call that says the same of itself. */
export function blockOfCall({ path, timeoutMs }: CallFields): Buffer {
  const timeout = timeoutMs === undefined ? undefined : `${Math.min(Math.ceil(timeoutMs), 99_999_999)}m`
  return blockOf([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ['user-agent', 'sftpgo-ts'],
    ...(timeout === undefined ? [] : [['grpc-timeout', timeout] as const]),
  ])
}

/** What a call says of itself. */
export interface CallFields {
  readonly path: string
  readonly timeoutMs?: number
}

/** That block with what one call says beside it. */
export function withMetadata(block: Buffer, metadata: Readonly<Record<string, string>> | undefined): Buffer {
  return metadata === undefined ? block : Buffer.concat([block, blockOf(fieldsOf(metadata))])
}

/** The status that ends a call, or undefined when `fields` have none. */
export function statusIn(fields: Fields): { code: number; text: string } | undefined {
  const field = fields.get('grpc-status')
  if (field === undefined || !/^\d{1,9}$/.test(field)) return undefined
  return { code: Number(field), text: shownText(fields.get('grpc-message') ?? '') }
}

/** The error of a call whose connection is no longer there. */
export function connectionEnded(cause?: unknown): PluginError {
  return new PluginError('exited', 'The connection to the plugin has ended', { cause })
}

/** The life of one unary call on its stream. A class because several events of the stream end it, and only once. */
class Exchange implements StreamReader {
  readonly #connection: Http2Connection
  readonly #stream: Stream
  readonly #question: Question
  readonly #resolve: (answer: Buffer) => void
  readonly #reject: (error: PluginError) => void
  readonly #reader: FrameReader
  #timer: NodeJS.Timeout | undefined
  #answer: Buffer | undefined
  #fields: Fields | undefined
  #trailers: Fields | undefined
  #settled = false
  #heldBytes = 0

  constructor(
    connection: Http2Connection,
    question: Question,
    resolve: (answer: Buffer) => void,
    reject: (error: PluginError) => void,
  ) {
    const { message, block, limitBytes } = question
    this.#connection = connection
    this.#question = question
    this.#resolve = resolve
    this.#reject = reject
    this.#reader = new FrameReader(limitBytes)
    this.#stream = connection.open(block, this, frameOf(message))
  }

  /** From now on the call ends when its time is over or nobody waits for it any more. */
  keepTime(): void {
    const { signal, timeoutMs } = this.#question
    this.#timer = setTimeout(this.#onDeadline, timeoutMs)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  onFields(fields: Fields): void {
    // "Go on" and the like come before the answer.
    if (fields.get(':status')?.startsWith('1') === true) return
    if (this.#fields === undefined) this.#fields = fields
    else this.#trailers = fields
  }

  onBytes(bytes: Buffer): void {
    this.#connection.grant(this.#stream, bytes.length)
    if (this.#settled) return
    try {
      this.#hold(bytes.length)
      for (const message of this.#reader.push(bytes)) this.#take(message)
    } catch (error) {
      // The reader throws nothing else.
      this.#abandon(error as PluginError)
    }
  }

  onEnd(end: StreamEnd): void {
    if (this.#settled) return
    if (this.#fields !== undefined) this.#question.heard?.(this.#fields)
    const said = (this.#trailers && statusIn(this.#trailers)) ?? (this.#fields && statusIn(this.#fields))
    if (said === undefined) return this.#settle(this.#statusMissing(end))
    if (said.code !== status.ok) return this.#settle(errorOf(said, nameOf(this.#question.path)))
    if (this.#answer === undefined || !this.#reader.isEmpty) {
      return this.#settle(malformed(this.#question.path, 'no whole message'))
    }
    this.#settle(this.#answer)
  }

  readonly #onDeadline = (): void => {
    const { path, timeoutMs } = this.#question
    this.#abandon(new PluginError('deadline', `${quotedName(path)} did not answer within ${timeoutMs} ms`))
  }

  readonly #onAbort = (): void => this.#abandon(cancelled(this.#question.path))

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

  #statusMissing(end: StreamEnd): PluginError {
    const http = this.#fields?.get(':status')
    if (http !== undefined && http !== '200')
      return malformed(this.#question.path, `HTTP status ${shownText(http)}`)
    if (end.how === 'disconnected') return connectionEnded(this.#connection.fault)
    const code = end.how === 'reset' ? end.code : reasons.none
    if (code === reasons.refused || code === reasons.calm) {
      return new PluginError('overloaded', `${quotedName(this.#question.path)} was not taken by the plugin`)
    }
    return malformed(this.#question.path, `no status (stream error ${code})`)
  }

  #abandon(error: PluginError): void {
    this.#settle(error)
    this.#connection.reset(this.#stream, reasons.cancel)
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
function fieldsOf(metadata: Readonly<Record<string, string>>): (readonly [string, string])[] {
  return Object.entries(metadata)
    .filter(([name]) => metadataName.test(name) && !ownNames.has(name))
    .map(([name, value]) => [name, value.replace(unwritten, (letter) => encodeURIComponent(letter))] as const)
}

const metadataName = /^(?!grpc-)[0-9a-z_.-]{1,64}$/
const ownNames: ReadonlySet<string> = new Set(['content-type', 'te', 'user-agent'])
const unwritten = /[^\x20-\x7e]|^ | $/gu

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
