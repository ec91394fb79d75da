import { FileError } from '../base/errors.ts'

/** Reads the fields of one packet in order; a field that reaches past the packet's end throws `bad-message`. */
export class Fields {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  #end = 0
  /** What follows `bytes`: the data of a WRITE that came in several pieces, its first byte at a piece's start. */
  #rest: readonly Buffer[] = []

  /** Begins at a packet's type byte. One reader serves a whole session. */
  begin(bytes: Buffer, start: number, end: number, rest: readonly Buffer[]): void {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
    this.#rest = rest
  }

  /** Lets go of the packet's bytes. */
  release(): void {
    this.begin(nothing, 0, 0, noRest)
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#end - this.#at
  }

  u8(): number {
    return this.#bytes[this.#advance(1)] ?? 0
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4))
  }

  /** A 64-bit number; what a double cannot hold exactly is refused, never rounded. */
  u64(): number {
    const number = this.position()
    if (number < 0) throw new FileError('bad-message', 'Cannot use a number past 2^53')
    return number
  }

  /** A 64-bit number, or -1 for one that a double cannot hold. */
  position(): number {
    const high = this.u32()
    const low = this.u32()
    return high > 0x1fffff ? -1 : high * 0x1_0000_0000 + low
  }

  /** A string as one character per byte. */
  string(): string {
    const length = this.u32()
    const start = this.#advance(length)
    return this.#bytes.toString('latin1', start, start + length)
  }

  /** A string as a view of the packet. */
  view(): Buffer {
    const length = this.u32()
    const start = this.#advance(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** The handle's number when its bytes carry `tag`; otherwise -1, whatever they are. */
  handle(tag: number): number {
    const length = this.u32()
    const start = this.#advance(length)
    if (length !== handleBytes || this.#bytes.readUInt32BE(start) !== tag) return -1
    return this.#bytes.readUInt32BE(start + 4)
  }

  /** The data of a WRITE, uncopied. */
  data(): readonly Buffer[] {
    const length = this.u32()
    if (this.#rest.length === 0) {
      const start = this.#advance(length)
      return length === 0 ? noRest : [this.#bytes.subarray(start, start + length)]
    }
    return cut(this.#rest, length)
  }

  #advance(bytes: number): number {
    const start = this.#at
    if (bytes > this.#end - start) throw new FileError('bad-message', 'Cannot read a request that ends early')
    this.#at = start + bytes
    return start
  }
}

/** Length of the handles that we give out. */
export const handleBytes = 8

const nothing = Buffer.alloc(0)
const noRest: readonly Buffer[] = []

/** The first `length` bytes of `pieces`; trailing bytes after a request are ignored, as OpenSSH does. */
function cut(pieces: readonly Buffer[], length: number): readonly Buffer[] {
  const taken: Buffer[] = []
  let missing = length
  for (const piece of pieces) {
    if (missing === 0) break
    const part = piece.length <= missing ? piece : piece.subarray(0, missing)
    taken.push(part)
    missing -= part.length
  }
  if (missing > 0) throw new FileError('bad-message', 'Cannot read a request that ends early')
  return taken
}
