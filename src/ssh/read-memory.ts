/** Memory that all connections of a server read into. */
export interface ReadPool {
  /** Where a connection reads that has little to say: every connection at once, so what arrives is copied out. */
  readonly shared: Buffer
  /** Memory of its own for a connection that has much to say. */
  take(): Buffer
  /** Gives back what `take` lent, once nobody reads it any more. */
  give(slab: Buffer): void
  /** A copy of a few bytes, in memory that it shares with other copies. */
  copyOf(bytes: Buffer): Buffer
}

/** What a connection with much to say reads into: several of the largest SFTP packets. */
export const readSlabBytes = 512 * 1024
const sharedBytes = 64 * 1024
/** A read of this size is bulk. */
const bulkBytes = 16 * 1024
/** A slab with less room than this is used no further: short reads cost more than memory. */
const leastRoom = 128 * 1024

const mostRetired = 8
/** Data of a packet that began in a slab and ends in the next one; the library takes none larger. */
const largestPacket = 35_000

/** Creates a pool that keeps at most `keep` slabs while nobody needs them. */
export function createReadPool(keep: number): ReadPool {
  const idle: Buffer[] = []
  let page = Buffer.allocUnsafeSlow(sharedBytes)
  let used = 0
  return {
    shared: Buffer.allocUnsafeSlow(sharedBytes),
    take: () => idle.pop() ?? Buffer.allocUnsafeSlow(readSlabBytes),
    give(slab) {
      if (idle.length < keep) idle.push(slab)
    },
    copyOf(bytes) {
      if (bytes.length > bulkBytes) return Buffer.from(bytes)
      if (used + bytes.length > page.length) {
        page = Buffer.allocUnsafeSlow(sharedBytes)
        used = 0
      }
      const copy = page.subarray(used, used + bytes.length)
      copy.set(bytes)
      used += bytes.length
      return copy
    },
  }
}

/** Which of the bytes read so far somebody may still look at. */
export interface StillNeeded {
  /** Who counts: another one than before, and nothing is known of what was read before. */
  readonly by: object
  /** All bytes that this one was given so far. */
  readonly given: number
  /** The latest of them, which may still be looked at; those before are not. */
  readonly tail: number
  /** A packet has begun whose end was not read yet, and whose data therefore do not count as given. */
  readonly partOfPacket: boolean
}

/** A slab that is full, and how many bytes had been given when it was. */
interface Retired {
  readonly slab: Buffer
  readonly given: number
}

/**
 * The memory one connection reads into. What was received stays as it is for as long as it is needed: a slab is used
 * again only when `stillNeeded` says that nobody looks at it; where it cannot say, the slab is left to the collector.
 */
export class ReadMemory {
  readonly #pool: ReadPool
  /** This connection's own slab; undefined while it has little to say. */
  #slab: Buffer | undefined
  #at = 0
  #retired: Retired[] = []
  #by: object | undefined
  #lastRead = 0

  constructor(pool: ReadPool) {
    this.#pool = pool
  }

  /** The bytes of the latest read; they lie at the beginning of what `next` gave. `lasting`: some may stay for long. */
  received(length: number, lasting: boolean): Buffer {
    this.#lastRead = length
    if (this.#slab === undefined) {
      const bytes = this.#pool.shared.subarray(0, length)
      return lasting ? Buffer.from(bytes) : this.#pool.copyOf(bytes)
    }
    const bytes = this.#slab.subarray(this.#at, this.#at + length)
    this.#at += length
    return bytes
  }

  /** Where the next bytes go. `bulk` allows memory of its own; `needed` is undefined where nobody can tell. */
  next(bulk: boolean, needed: StillNeeded | undefined): Buffer {
    if (this.#slab === undefined) {
      if (!bulk || this.#lastRead < bulkBytes) return this.#pool.shared
      return this.#begin()
    }
    this.#sort(needed)
    return this.#slab === undefined ? this.next(bulk, needed) : this.#slab.subarray(this.#at)
  }

  /** Nothing more is read. What is still looked at by then is left to the collector. */
  close(): void {
    this.#drop()
  }

  #begin(): Buffer {
    this.#slab = this.#pool.take()
    this.#at = 0
    return this.#slab
  }

  #sort(needed: StillNeeded | undefined): void {
    const slab = this.#slab
    if (slab === undefined) return
    if (needed === undefined || (this.#by !== undefined && needed.by !== this.#by)) {
      this.#drop()
      this.#by = needed?.by
      return
    }
    this.#by = needed.by
    const whole = needed.given - needed.tail
    while (this.#retired[0] !== undefined && this.#retired[0].given <= whole) {
      this.#pool.give(this.#retired[0].slab)
      this.#retired.shift()
    }
    if (needed.tail === 0 && !needed.partOfPacket) return this.#clear(slab)
    if (slab.length - this.#at >= leastRoom) return
    this.#retired.push({ slab, given: needed.given + (needed.partOfPacket ? largestPacket : 0) })
    // Nobody has said for long that something is done with: the collector will find out.
    if (this.#retired.length > mostRetired) this.#retired.shift()
    this.#begin()
  }

  /** Nobody looks at anything. */
  #clear(slab: Buffer): void {
    this.#at = 0
    if (this.#lastRead >= bulkBytes) return
    this.#pool.give(slab)
    this.#slab = undefined
  }

  #drop(): void {
    this.#slab = undefined
    this.#retired = []
  }
}
