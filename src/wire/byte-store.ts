/**
 * Bytes that are kept, in no more than twice the memory: in pieces as small as the other side likes, each would cost as
 * much as a hundred bytes, and hold all that arrived with it.
 */
export class ByteStore {
  #bytes: Buffer = nothing
  #size = 0

  /** How many there are. */
  get size(): number {
    return this.#size
  }

  /** Keeps more, and gives all that is kept: good until the next call. */
  append(bytes: Buffer): Buffer {
    const size = this.#size + bytes.length
    if (size > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(size, 2 * this.#bytes.length))
      this.#bytes.copy(larger, 0, 0, this.#size)
      this.#bytes = larger
    }
    bytes.copy(this.#bytes, this.#size)
    this.#size = size
    return this.#bytes.subarray(0, size)
  }

  /** Gives all that is kept, and keeps it no longer. */
  take(): Buffer {
    const all = this.#bytes.subarray(0, this.#size)
    this.#bytes = nothing
    this.#size = 0
    return all
  }
}

const nothing = Buffer.alloc(0)
