/** Reads the fields of an SSH blob, one after another. Past the end, or on a length that lies, it throws a `RangeError`. */
export interface WireReader {
  byte(): number
  uint32(): number
  uint64(): bigint
  /** A string of bytes with its length before it. */
  bytes(): Buffer
  /** Such a string as text. */
  text(): string
  /** Where the next field begins. */
  readonly position: number
  readonly atEnd: boolean
}

/** Creates a reader over `blob`, whose bytes it shares. */
export function readWire(blob: Buffer): WireReader {
  let position = 0
  const take = (count: number): number => {
    const at = position
    if (count > blob.length - at) throw new RangeError('A field reaches past the end')
    position += count
    return at
  }
  const bytes = (): Buffer => {
    const length = blob.readUInt32BE(take(4))
    const at = take(length)
    return blob.subarray(at, at + length)
  }
  return {
    byte: () => blob.readUInt8(take(1)),
    uint32: () => blob.readUInt32BE(take(4)),
    uint64: () => blob.readBigUInt64BE(take(8)),
    bytes,
    text: () => bytes().toString('utf8'),
    get position() {
      return position
    },
    get atEnd() {
      return position === blob.length
    },
  }
}

/** The bytes of `parts`, each with its length before it. */
export function writeStrings(...parts: readonly (string | Buffer)[]): Buffer {
  const whole: Buffer[] = []
  for (const part of parts) {
    const bytes = Buffer.from(part)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    whole.push(length, bytes)
  }
  return Buffer.concat(whole)
}
