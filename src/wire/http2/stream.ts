import type { Fields } from './hpack.ts'
import { defaultWindow, streamWindow } from './settings.ts'

/** How a stream ended: both sides said all, one of them gave up, or the connection is gone. */
export type StreamEnd =
  | { readonly how: 'done' }
  | { readonly how: 'reset'; readonly code: number }
  | { readonly how: 'disconnected' }

/** Who hears what arrives on a stream. */
export interface StreamReader {
  /** `ended`: nothing follows. */
  onFields(fields: Fields, ended: boolean): void
  /** A piece of the body; the other side may send as much again once it is granted. */
  onBytes(bytes: Buffer, ended: boolean): void
  /** Comes once, and nothing after it. */
  onEnd(end: StreamEnd): void
  /** All that was written is on its way. */
  onDrain?(): void
}

/** One stream, as its connection keeps it: nobody else changes it. */
export class Stream {
  reader: StreamReader = deaf
  /** 0 until its first frame is sent. */
  id = 0
  /** How much of the body the other side takes, and how much we still take. */
  sendWindow = defaultWindow
  receiveWindow = streamWindow
  /** Read, and not yet given back as window. */
  grantable = 0
  closed = false
  localEnded = false
  remoteEnded = false
  /** The first block, while the stream waits for its turn. */
  opening: Buffer | undefined
  /** What of the body waits for a window or for the socket, and what comes after it: perhaps a block of fields. */
  unsent: Buffer[] = []
  unsentEnd: 'none' | 'end' | Buffer = 'none'
}

/** The reader of a stream for as long as it has none. */
const deaf: StreamReader = { onFields() {}, onBytes() {}, onEnd() {} }
