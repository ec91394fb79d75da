import { ByteStore } from './byte-store.ts'
import { FrameReader, frameOf } from './framing.ts'
import type { Http2Connection } from './http2/connection.ts'
import { reasons } from './http2/frames.ts'
import type { Fields } from './http2/hpack.ts'
import type { StreamReader } from './http2/stream.ts'

/** What is asked. Without a request the asking side of the stream stays open and says nothing. */
export interface StreamQuestion {
  readonly request?: Uint8Array | undefined
  /** A longer message ends the stream. */
  readonly limitBytes: number
}

/** The messages of a stream, as long as it lives: how it ended makes no difference to who reads it. */
export async function* readStream(
  connection: Http2Connection,
  block: Buffer,
  { request, limitBytes }: StreamQuestion,
): AsyncGenerator<Buffer, void, void> {
  if (!connection.isOpen) return
  const messages = new FrameReader(limitBytes)
  const body = new BodyQueue()
  const stream = connection.open(block, body, request && frameOf(request))
  try {
    for (let piece = await body.next(); piece !== undefined; piece = await body.next()) {
      connection.grant(stream, piece.length)
      yield* messages.push(piece)
    }
  } finally {
    // A stream that is not cancelled would go on swallowing what the plugin prints.
    connection.reset(stream, reasons.cancel)
  }
}

/** What of a body waits for its reader: no more than the stream's window, which the reader opens. */
export class BodyQueue implements StreamReader {
  readonly #waiting = new ByteStore()
  #ended = false
  #wake = (): void => {}

  onFields(_fields: Fields, ended: boolean): void {
    if (ended) this.onEnd()
  }

  onBytes(bytes: Buffer, ended: boolean): void {
    this.#waiting.append(bytes)
    if (ended) this.#ended = true
    this.#wake()
  }

  onEnd(): void {
    this.#ended = true
    this.#wake()
  }

  /** The next piece; undefined when there is none any more. */
  async next(): Promise<Buffer | undefined> {
    while (this.#waiting.size === 0 && !this.#ended) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#waiting.size === 0 ? undefined : this.#waiting.take()
  }
}
