import type { Fields } from './fields.ts'
import { maxPacketBytes, requestType } from './protocol.ts'

/** The peer does not speak SFTP: nothing after this can be understood. */
export class FramingError extends Error {
  override readonly name = 'FramingError'
}

/** Cuts a byte stream, however it arrives, into packets. The data of a WRITE is never copied. */
export class PacketReader {
  readonly #chunks: Buffer[] = []
  /** Where the first chunk's unread part begins. */
  #at = 0
  #bytes = 0

  /** Bytes that belong to no packet read so far. */
  get waitingBytes(): number {
    return this.#bytes
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#chunks.push(bytes)
    this.#bytes += bytes.length
  }

  /** Points `fields` at the next packet and returns its whole size, or 0 when it has not arrived in full. */
  next(fields: Fields): number {
    if (this.#bytes < 4) return 0
    const length = this.#peekLength()
    // A packet has at least a type and an id (INIT: a version).
    if (length < 5 || length > maxPacketBytes) {
      throw new FramingError('Cannot understand a packet of this length')
    }
    if (this.#bytes < 4 + length) return 0
    const first = this.#chunks[0]
    if (first !== undefined && first.length - this.#at >= 4 + length) {
      fields.begin(first, this.#at + 4, this.#at + 4 + length, noRest)
      this.#skip(4 + length)
    } else {
      this.#skip(4)
      this.#takeSplit(length, fields)
    }
    return 4 + length
  }

  /** Lets go of everything. */
  clear(): void {
    this.#chunks.length = 0
    this.#at = 0
    this.#bytes = 0
  }

  #peekLength(): number {
    const first = this.#chunks[0]
    if (first !== undefined && first.length - this.#at >= 4) return first.readUInt32BE(this.#at)
    return this.#peek(4).readUInt32BE(0)
  }

  /** A copy of the next bytes, which have arrived. */
  #peek(count: number): Buffer {
    const copy = Buffer.allocUnsafe(count)
    let filled = 0
    let from = this.#at
    for (const chunk of this.#chunks) {
      filled += chunk.copy(copy, filled, from, Math.min(chunk.length, from + count - filled))
      from = 0
      if (filled === count) break
    }
    return copy
  }

  #takeSplit(length: number, fields: Fields): void {
    const headBytes = this.#writeHeadBytes(length)
    const head = this.#peek(headBytes)
    this.#skip(headBytes)
    fields.begin(head, 0, headBytes, this.#take(length - headBytes))
  }

  /** Everything before the data of a WRITE; of other packets, everything. */
  #writeHeadBytes(length: number): number {
    if (length < longestWriteHead) return length
    const start = this.#peek(9)
    const handleLength = start.readUInt32BE(5)
    if (start[0] !== requestType.write || handleLength > 256) return length
    return 9 + handleLength + 12
  }

  #take(count: number): Buffer[] {
    const taken: Buffer[] = []
    for (let missing = count; missing > 0;) {
      const chunk = this.#chunks[0]
      if (chunk === undefined) break
      const size = Math.min(missing, chunk.length - this.#at)
      taken.push(size === chunk.length ? chunk : chunk.subarray(this.#at, this.#at + size))
      this.#skip(size)
      missing -= size
    }
    return taken
  }

  #skip(count: number): void {
    this.#bytes -= count
    let at = this.#at + count
    for (let chunk = this.#chunks[0]; chunk !== undefined && at >= chunk.length; chunk = this.#chunks[0]) {
      at -= chunk.length
      this.#chunks.shift()
    }
    this.#at = at
  }
}

/** Type, id, a handle of 256 bytes, position and length. */
const longestWriteHead = 1 + 4 + 4 + 256 + 8 + 4
const noRest: readonly Buffer[] = []
