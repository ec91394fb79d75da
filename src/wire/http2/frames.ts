/** The kinds of frames (RFC 9113, section 6). */
export const kinds = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

/** What a frame's flags say. */
export const flags = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const

/** Why a stream or a connection ended (RFC 9113, section 7). */
export const reasons = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  connect: 10,
  calm: 11,
} as const

/** Something that the other side must not do, and after which the connection cannot go on. */
export class Http2Fault extends Error {
  override readonly name = 'Http2Fault'
  readonly reason: keyof typeof reasons

  constructor(reason: keyof typeof reasons, message: string) {
    super(message)
    this.reason = reason
  }
}

/** The bytes before the first frame of who connects. */
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** The longest payload that either side may send: nobody was told of another bound. */
export const longestPayload = 16_384

/** The bytes before a frame's payload. */
export const headBytes = 9

/** A frame of some stream. */
export interface Frame {
  readonly kind: number
  /** Default: none. */
  readonly flag?: number
  readonly payload: Uint8Array
}

/** The bytes of frames of one stream, one behind the other; 0 is the connection itself. */
export function framesOf(stream: number, ...frames: readonly Frame[]): Buffer {
  let size = 0
  for (const { payload } of frames) size += headBytes + payload.length
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const { kind, flag = 0, payload } of frames) {
    const { length } = payload
    bytes[at] = length >> 16
    bytes[at + 1] = length >> 8
    bytes[at + 2] = length
    bytes[at + 3] = kind
    bytes[at + 4] = flag
    bytes.writeInt32BE(stream, at + 5)
    bytes.set(payload, at + headBytes)
    at += headBytes + length
  }
  return bytes
}

/** A payload of numbers of 32 bits. */
export function numbers(...values: readonly number[]): Buffer {
  const payload = Buffer.allocUnsafe(4 * values.length)
  values.forEach((value, index) => payload.writeUInt32BE(value, 4 * index))
  return payload
}

/** Takes a frame. The payload is a view on what arrived. */
export type TakeFrame = (kind: number, flag: number, stream: number, payload: Buffer) => void

/** Cuts what arrives into frames. Never holds more than one frame. */
export class FrameCutter {
  readonly #take: TakeFrame
  #awaited: Buffer | undefined
  #rest: Buffer | undefined

  /** `awaited` is what must come before the first frame. */
  constructor(take: TakeFrame, awaited?: Buffer) {
    this.#take = take
    this.#awaited = awaited
  }

  /** Throws `Http2Fault` for a frame that is too long, and whatever `take` throws. */
  push(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    let at = 0
    if (this.#awaited !== undefined) {
      at = Math.min(bytes.length, this.#awaited.length)
      if (!bytes.subarray(0, at).equals(this.#awaited.subarray(0, at)))
        throw new Http2Fault('protocol', 'It does not begin as HTTP/2 does')
      if (at < this.#awaited.length) return void (this.#rest = bytes)
      this.#awaited = undefined
    }
    while (bytes.length - at >= headBytes) {
      const size = bytes.readUIntBE(at, 3)
      if (size > longestPayload) throw new Http2Fault('frameSize', `A frame of ${size} bytes is too long`)
      const end = at + headBytes + size
      if (end > bytes.length) break
      const payload = bytes.subarray(at + headBytes, end)
      // The first bit of the stream's number means nothing.
      this.#take(
        byteAt(bytes, at + 3),
        byteAt(bytes, at + 4),
        bytes.readInt32BE(at + 5) & 0x7fffffff,
        payload,
      )
      at = end
    }
    if (at < bytes.length) this.#rest = bytes.subarray(at)
  }
}

/** The byte at `at`, which the caller knows to be there. */
export function byteAt(bytes: Buffer, at: number): number {
  return bytes[at] ?? 0
}
