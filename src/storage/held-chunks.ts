import type { ChunkWorkshop } from './chunk-workshop.ts'
import { chunkBytes } from './sealed-format.ts'

/** A chunk that was changed and is not on the disk yet, in a buffer of a whole chunk. */
export interface DirtyChunk {
  readonly bytes: Buffer
  /** A writer has come to its end: most likely nothing more is written to it. */
  done: boolean
}

/** Buffers of chunks that went to the disk are kept for the next ones: so many and one. */
const mostFree = 4

/**
 * The plain chunks of one file that are in memory: those that were changed, and the one that was read last. Every
 * buffer counts among those that all files together keep.
 */
export class HeldChunks {
  readonly #workshop: ChunkWorkshop
  /** By index, the latest touched last. */
  readonly #dirty = new Map<number, DirtyChunk>()
  /** Buffers of chunks that went to the disk, for the next ones. */
  readonly #free: Buffer[] = []
  /** The chunk that was read last: the next read begins in it more often than not. */
  #latest: { readonly index: number; readonly length: number; readonly bytes: Buffer } | undefined

  constructor(workshop: ChunkWorkshop) {
    this.#workshop = workshop
  }

  /** The changed chunks, the latest touched last. */
  get dirty(): ReadonlyMap<number, DirtyChunk> {
    return this.#dirty
  }

  /** Takes in a changed chunk, as the latest touched one; its buffer is from `bufferFor`. */
  touch(index: number, chunk: DirtyChunk): void {
    if (this.#latest?.index === index) this.forgetLatest()
    this.#dirty.delete(index)
    this.#dirty.set(index, chunk)
  }

  /** A buffer of zeros, or of anything when all of it is about to be written. New memory costs more than sealing. */
  bufferFor(length: number): Buffer {
    const used = this.#free.pop()
    if (used === undefined) this.#workshop.kept += 1
    if (length === chunkBytes) return used ?? Buffer.allocUnsafeSlow(chunkBytes)
    return used?.fill(0) ?? Buffer.alloc(chunkBytes)
  }

  /** A buffer from `bufferFor` that became no chunk. */
  unused(): void {
    this.#workshop.kept -= 1
  }

  /** A chunk that is not held back any more: it is on the disk, or cut off. */
  drop(index: number): void {
    const bytes = this.#dirty.get(index)?.bytes
    if (bytes === undefined) return
    this.#dirty.delete(index)
    if (this.#free.length <= mostFree && !this.#workshop.crowded) this.#free.push(bytes)
    else this.#workshop.kept -= 1
  }

  /** Drops every changed chunk from `index` on. */
  dropFrom(index: number): void {
    for (const dirty of [...this.#dirty.keys()]) if (dirty >= index) this.drop(dirty)
  }

  dropFree(): void {
    this.#workshop.kept -= this.#free.length
    this.#free.length = 0
  }

  /** Keeps a copy of the chunk that was read last, unless too many are kept. */
  remember(index: number, plain: Buffer): void {
    if (this.#latest === undefined && this.#workshop.crowded) return
    if (this.#latest === undefined) this.#workshop.kept += 1
    const bytes = this.#latest?.bytes ?? Buffer.allocUnsafeSlow(chunkBytes)
    this.#latest = { index, length: plain.copy(bytes), bytes }
  }

  forgetLatest(): void {
    if (this.#latest !== undefined) this.#workshop.kept -= 1
    this.#latest = undefined
  }

  /** The plain bytes of chunk `index`, if it is the one that was read last. */
  latestOf(index: number): Buffer | undefined {
    return this.#latest?.index === index ? this.#latest.bytes.subarray(0, this.#latest.length) : undefined
  }

  release(): void {
    this.dropFrom(0)
    this.dropFree()
    this.forgetLatest()
  }
}
