import { byteAt, Http2Fault } from './frames.ts'
import { unpackedText } from './huffman.ts'
import { defaultTableBytes } from './settings.ts'
import { staticFields } from './static-fields.ts'

/** The fields of one header block. Where a name comes twice the first counts. */
export type Fields = ReadonlyMap<string, string>

/** A block that was read. */
export interface ReadBlock {
  readonly fields: Fields
  /** False: a name or value is none, a pseudo-header comes twice or late, or there is too much of it. */
  readonly valid: boolean
}

/** Writes a block. Nothing is packed and nothing is remembered: blocks can be made once and sent often. */
export function blockOf(fields: Iterable<readonly [string, string]>): Buffer {
  let text = ''
  for (const [name, value] of fields) {
    const whole = places.get(`${name}\t${value}`)
    if (whole !== undefined) text += String.fromCharCode(0x80 | whole)
    else text += `${nameOf(name)}${measured(value)}`
  }
  return Buffer.from(text, 'latin1')
}

/** For the beginning of the next block, once the other side takes less than we may remember by default. */
export const forgetAll = Buffer.from([0x20])

/** Reads the blocks of one connection, in their order. Holds no more than `defaultTableBytes` from one block to the next. */
export class BlockReader {
  readonly #limitBytes: number
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  #table: Entry[] = []
  #defaultTableBytes = 0
  #mostBytes = defaultTableBytes

  /** `limitBytes`: more than this in one block, counted as HTTP/2 counts it, makes it invalid. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** Throws `Http2Fault`: what one block says is needed to read the next. */
  read(block: Buffer): ReadBlock {
    this.#bytes = block
    this.#at = 0
    while (this.#at < block.length && (byteAt(block, this.#at) & 0xe0) === 0x20) this.#resize(this.#number(5))
    const fields = new Map<string, string>()
    let valid = true
    let size = 0
    let late = false
    while (this.#at < block.length) {
      const { name, value, ok } = this.#field()
      size += name.length + value.length + fieldBytes
      const pseudo = name.charCodeAt(0) === 0x3a
      if (!ok || size > this.#limitBytes || (pseudo && (late || fields.has(name)))) valid = false
      late ||= !pseudo
      if (valid && !fields.has(name)) fields.set(name, value)
    }
    return { fields, valid }
  }

  #field(): Entry {
    const first = byteAt(this.#bytes, this.#at)
    if ((first & 0x80) !== 0) return this.#entry(this.#number(7))
    if ((first & 0xe0) === 0x20) throw new Http2Fault('compression', 'A change of size comes late')
    const remembered = (first & 0x40) !== 0
    const place = this.#number(remembered ? 6 : 4)
    const name = place === 0 ? this.#text() : this.#entry(place).name
    const value = this.#text()
    const entry = { name, value, ok: (place !== 0 || namePattern.test(name)) && !controls.test(value) }
    if (remembered) this.#remember(entry)
    return entry
  }

  #entry(place: number): Entry {
    const entry =
      place <= staticFields.length ? known[place - 1] : this.#table[place - staticFields.length - 1]
    if (entry === undefined) throw new Http2Fault('compression', `There is no field ${place}`)
    return entry
  }

  #remember(entry: Entry): void {
    this.#table.unshift(entry)
    this.#defaultTableBytes += sizeOf(entry)
    this.#evict()
  }

  #resize(bytes: number): void {
    if (bytes > defaultTableBytes)
      throw new Http2Fault('compression', `A table of ${bytes} bytes was not offered`)
    this.#mostBytes = bytes
    this.#evict()
  }

  #evict(): void {
    while (this.#defaultTableBytes > this.#mostBytes) {
      const oldest = this.#table.pop()
      this.#defaultTableBytes -= oldest === undefined ? this.#defaultTableBytes : sizeOf(oldest)
    }
  }

  /** A number that begins in the last `bits` bits of this byte (RFC 7541, section 5.1). */
  #number(bits: number): number {
    const full = (1 << bits) - 1
    let value = this.#byte() & full
    if (value < full) return value
    for (let shift = 0; shift <= 14; shift += 7) {
      const byte = this.#byte()
      value += (byte & 0x7f) << shift
      if ((byte & 0x80) === 0) return value
    }
    throw new Http2Fault('compression', 'A number has no end')
  }

  #text(): string {
    const packed = (byteAt(this.#bytes, this.#at) & 0x80) !== 0
    const size = this.#number(7)
    const from = this.#at
    this.#at += size
    if (this.#at > this.#bytes.length) throw new Http2Fault('compression', 'A text is cut')
    if (packed) return unpackedText(this.#bytes.subarray(from, this.#at))
    return this.#bytes.toString('latin1', from, this.#at)
  }

  #byte(): number {
    if (this.#at >= this.#bytes.length) throw new Http2Fault('compression', 'A block is cut')
    return byteAt(this.#bytes, this.#at++)
  }
}

interface Entry {
  readonly name: string
  readonly value: string
  readonly ok: boolean
}

/** What each field counts beside its letters (RFC 7541, section 4.1). */
const fieldBytes = 32

const namePattern = /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/
// oxlint-disable-next-line no-control-regex -- these are the letters that a value cannot have
const controls = /[\0\r\n]/

const known: readonly Entry[] = staticFields.map(([name, value]) => ({ name, value, ok: true }))

/** Where a field, or a name alone, stands in the static table. */
const places: ReadonlyMap<string, number> = new Map(
  staticFields
    .flatMap(([name, value], index): (readonly [string, number])[] => [
      [name, index + 1],
      [`${name}\t${value}`, index + 1],
    ])
    // Where a name comes several times the first place has the shortest number.
    .toReversed(),
)

function sizeOf({ name, value }: Entry): number {
  return name.length + value.length + fieldBytes
}

function nameOf(name: string): string {
  const place = places.get(name)
  return place === undefined ? `\0${measured(name)}` : numberText(place, 4)
}

function measured(text: string): string {
  return numberText(text.length, 7) + text
}

/** A number as it begins in the last `bits` bits of a byte whose other bits are zero. */
function numberText(value: number, bits: number): string {
  const full = (1 << bits) - 1
  if (value < full) return String.fromCharCode(value)
  let text = String.fromCharCode(full)
  let rest = value - full
  for (; rest > 0x7f; rest >>= 7) text += String.fromCharCode(0x80 | (rest & 0x7f))
  return text + String.fromCharCode(rest)
}
