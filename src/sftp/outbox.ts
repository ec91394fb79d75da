import type { DirectoryEntry } from '../base/file.ts'
import { attributesBytes, writeAttributes } from './attributes.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { ByteStream } from './byte-stream.ts'
import { handleBytes } from './fields.ts'
import type { LongNames } from './long-name.ts'
import { protocolVersion, replyType } from './protocol.ts'
import type { Reply } from './reply.ts'
import type { Status } from './status.ts'

/** Bytes before the data of a DATA reply: length, type, id, length of the data. */
export const dataHeaderBytes = 13

/**
 * Turns replies into bytes and sends them in the order given. Small replies of one turn are gathered in one
 * buffer: without that each would be a packet, an encryption and a system call of its own.
 */
export class Outbox {
  readonly #stream: ByteStream
  readonly #buffers: BufferPool
  readonly #longNames: LongNames
  readonly #tag: number
  #gathering: Buffer | undefined
  #used = 0
  #full = false

  constructor(options: {
    readonly stream: ByteStream
    readonly buffers: BufferPool
    readonly longNames: LongNames
    /** First four bytes of the session's handles. */
    readonly tag: number
  }) {
    this.#stream = options.stream
    this.#buffers = options.buffers
    this.#longNames = options.longNames
    this.#tag = options.tag
  }

  /** The stream has enough: nothing new should be begun until there is room. */
  get full(): boolean {
    return this.#full
  }

  /** Something is gathered that a `flush` would send. */
  get gathers(): boolean {
    return this.#gathering !== undefined
  }

  room(): void {
    this.#full = false
  }

  /** Sends what was gathered. */
  flush(): void {
    const buffer = this.#gathering
    if (buffer === undefined) return
    this.#gathering = undefined
    if (this.#used > 0) this.#sendPooled(buffer, this.#used)
    else this.#buffers.give(buffer)
    this.#used = 0
  }

  /** Drops what was gathered. */
  drop(): void {
    if (this.#gathering !== undefined) this.#buffers.give(this.#gathering)
    this.#gathering = undefined
    this.#used = 0
  }

  version(extensions: readonly (readonly [string, string | Buffer])[]): void {
    const body = Buffer.concat(extensions.flatMap(([name, data]) => [stringBytes(name), stringBytes(data)]))
    const { buffer, at } = this.#reserve(9 + body.length)
    buffer.writeUInt32BE(5 + body.length, at)
    buffer[at + 4] = replyType.version
    buffer.writeUInt32BE(protocolVersion, at + 5)
    body.copy(buffer, at + 9)
  }

  reply(id: number, reply: Reply): void {
    switch (reply.is) {
      case 'status':
        return this.status(id, reply.status)
      case 'handle':
        return this.#handle(id, reply.number)
      case 'attributes': {
        const { buffer, at } = this.#begin(replyType.attributes, id, attributesBytes)
        writeAttributes(buffer, reply.attributes, at)
        return
      }
      case 'path':
        return this.#path(id, reply.path)
      case 'entries':
        return this.#entries(id, reply.entries)
      case 'extended': {
        const { buffer, at } = this.#begin(replyType.extended, id, reply.body.length)
        reply.body.copy(buffer, at)
        return
      }
      case 'empty-data': {
        const { buffer, at } = this.#begin(replyType.data, id, 4)
        buffer.writeUInt32BE(0, at)
        return
      }
    }
  }

  /** Number, message and language tag: version 3 always carries all three. */
  status(id: number, { code, message }: Status): void {
    const { buffer, at } = this.#begin(replyType.status, id, 12 + message.length)
    buffer.writeUInt32BE(code, at)
    buffer.writeUInt32BE(message.length, at + 4)
    buffer.write(message, at + 8, 'latin1')
    buffer.writeUInt32BE(0, at + 8 + message.length)
  }

  /** Sends `length` bytes that lie in a pooled buffer behind room for the header, and gives the buffer back. */
  data(id: number, buffer: Buffer, length: number): void {
    writeDataHeader(buffer, id, length)
    const whole = dataHeaderBytes + length
    if (whole > gatherBytes) {
      this.flush()
      this.#sendPooled(buffer, whole)
      return
    }
    const { buffer: into, at } = this.#reserve(whole)
    buffer.copy(into, at, 0, whole)
    this.#buffers.give(buffer)
  }

  /** Where the data of a DATA reply may be put so that they leave from there; see `ByteStream.lend`. */
  lend(length: number): DataRoom | 'later' | undefined {
    if (this.#full || this.#stream.lend === undefined) return undefined
    this.flush()
    const room = this.#stream.lend(dataHeaderBytes + length)
    if (room === 'later') return room
    const [first, ...others] = room?.pieces ?? []
    if (room === undefined || first === undefined || first.length <= dataHeaderBytes) return undefined
    return {
      pieces: [first.subarray(dataHeaderBytes), ...others],
      send: (id, bytes) => {
        writeDataHeader(first, id, bytes)
        if (!room.send(dataHeaderBytes + bytes)) this.#full = true
      },
    }
  }

  #handle(id: number, number: number): void {
    const { buffer, at } = this.#begin(replyType.handle, id, 4 + handleBytes)
    buffer.writeUInt32BE(handleBytes, at)
    buffer.writeUInt32BE(this.#tag, at + 4)
    buffer.writeUInt32BE(number, at + 8)
  }

  /** The path twice, as name and as long name; no attributes. */
  #path(id: number, path: string): void {
    const { buffer, at } = this.#begin(replyType.name, id, 16 + 2 * path.length)
    buffer.writeUInt32BE(1, at)
    const next = writeString(buffer, path, writeString(buffer, path, at + 4))
    buffer.writeUInt32BE(0, next)
  }

  #entries(id: number, entries: readonly DirectoryEntry[]): void {
    const lines = entries.map((entry) => this.#longNames.of(entry))
    let size = 4
    for (const [index, { name }] of entries.entries()) {
      size += 8 + name.length + (lines[index] ?? '').length + attributesBytes
    }
    const { buffer, at } = this.#begin(replyType.name, id, size)
    buffer.writeUInt32BE(entries.length, at)
    let next = at + 4
    for (const [index, { name, attributes }] of entries.entries()) {
      next = writeString(buffer, lines[index] ?? '', writeString(buffer, name, next))
      next = writeAttributes(buffer, attributes, next)
    }
  }

  #begin(type: number, id: number, bodyBytes: number): Place {
    const place = this.#reserve(9 + bodyBytes)
    place.buffer.writeUInt32BE(5 + bodyBytes, place.at)
    place.buffer[place.at + 4] = type
    place.buffer.writeUInt32BE(id, place.at + 5)
    return { buffer: place.buffer, at: place.at + 9 }
  }

  #reserve(bytes: number): Place {
    if (this.#gathering !== undefined && this.#used > 0 && this.#used + bytes > gatherBytes) this.flush()
    this.#gathering ??= this.#buffers.take()
    const at = this.#used
    this.#used += bytes
    return { buffer: this.#gathering, at }
  }

  /** Small things are copied for a stream that keeps what it is given, so that a large buffer is not held for them. */
  #sendPooled(buffer: Buffer, length: number): void {
    const bytes = buffer.subarray(0, length)
    if (this.#stream.copies) {
      this.#send(bytes)
      this.#buffers.give(buffer)
    } else if (length <= smallBytes) {
      this.#send(Buffer.from(bytes))
      this.#buffers.give(buffer)
    } else {
      this.#send(bytes, () => this.#buffers.give(buffer))
    }
  }

  #send(bytes: Buffer, sent?: () => void): void {
    const more = sent === undefined ? this.#stream.send(bytes) : this.#stream.send(bytes, sent)
    if (!more) this.#full = true
  }
}

/** Memory for the data of one DATA reply. */
export interface DataRoom {
  readonly pieces: readonly Buffer[]
  /** Sends the first `bytes` of it as the answer to request `id`. */
  send(id: number, bytes: number): void
}

function writeDataHeader(into: Buffer, id: number, length: number): void {
  into.writeUInt32BE(9 + length, 0)
  into[4] = replyType.data
  into.writeUInt32BE(id, 5)
  into.writeUInt32BE(length, 9)
}

interface Place {
  readonly buffer: Buffer
  readonly at: number
}

/** What is gathered before it is sent: one SSH packet. */
const gatherBytes = 32 * 1024
const smallBytes = 8 * 1024

/** Writes a length and a string of one character per byte; returns where it ends. */
function writeString(into: Buffer, text: string, at: number): number {
  into.writeUInt32BE(text.length, at)
  into.write(text, at + 4, 'latin1')
  return at + 4 + text.length
}

/** A length and a string. */
export function stringBytes(text: string | Buffer): Buffer {
  const body = typeof text === 'string' ? Buffer.from(text, 'latin1') : text
  const bytes = Buffer.allocUnsafe(4 + body.length)
  bytes.writeUInt32BE(body.length, 0)
  body.copy(bytes, 4)
  return bytes
}
