/** One element of BER: its tag and what is inside. */
export interface Element {
  readonly tag: number
  readonly value: Buffer
  /** Length of the whole. */
  readonly size: number
}

/** An element out of parts: texts, numbers under 128 as one byte, and elements that are bytes already. */
export function element(tag: number, ...parts: readonly (string | number | Buffer)[]): Buffer {
  const value = Buffer.concat(
    parts.map((part) =>
      typeof part === 'number'
        ? Buffer.from([part])
        : typeof part === 'string'
          ? Buffer.from(part, 'utf8')
          : part,
    ),
  )
  return Buffer.concat([Buffer.from([tag]), lengthOf(value.length), value])
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length])
  const bytes = Buffer.alloc(5)
  bytes[0] = 0x84
  bytes.writeUInt32BE(length, 1)
  return bytes
}

/** The element at the beginning, or undefined while it is not complete. Throws when it is longer than `limit`. */
export function readElement(bytes: Buffer, limit = 1024 * 1024): Element | undefined {
  const [tag, first] = bytes
  if (tag === undefined || first === undefined) return undefined
  const extra = first < 0x80 ? 0 : first & 0x7f
  if (first === 0x80 || extra > 4) throw new Error('The length of an element cannot be read')
  if (bytes.length < 2 + extra) return undefined
  const length = extra === 0 ? first : bytes.readUIntBE(2, extra)
  if (length > limit) throw new Error('An element is too long')
  const size = 2 + extra + length
  return bytes.length < size ? undefined : { tag, value: bytes.subarray(2 + extra, size), size }
}

/** Every element of a value. */
export function elementsIn(value: Buffer): readonly Element[] {
  const found: Element[] = []
  for (let at = 0; at < value.length;) {
    const one = readElement(value.subarray(at))
    if (one === undefined) throw new Error('An element is cut off')
    found.push(one)
    at += one.size
  }
  return found
}
