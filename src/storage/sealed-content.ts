import { FileError } from '../base/errors.ts'
import type { OpenFile } from './backend.ts'
import {
  chunkBytes,
  chunkOffset,
  chunkOverhead,
  cutShort,
  headerBytes,
  newFileKeys,
  plainSizeOf,
  readHeader,
  sealedSizeOf,
  statePatch,
  writeHeader,
  createChunkSealer,
  type ChunkSealer,
  type FileKeys,
  type SealedState,
} from './sealed-format.ts'

/** The plain content of one encrypted file. Calls come one at a time: whoever holds it sees to that. */
export interface SealedContent {
  readonly size: number
  read(into: Buffer, position: number): Promise<number>
  write(chunks: readonly Buffer[], position: number): Promise<void>
  resize(size: number): Promise<void>
  /** Puts down what is held back, and that the file is complete. */
  flush(): Promise<void>
}

/** Reading and writing behind a content; the owner may hand in a better handle later. */
export interface SealedPlace {
  readonly file: OpenFile
  readonly chunks: ChunkWorkshop
}

/** What seals and opens chunks, and where: buffers that are used again and again. */
export interface ChunkWorkshop {
  readonly sealer: ChunkSealer
  /** Lends a buffer with room for a run of sealed chunks until `action` is over. */
  withBuffer<T>(action: (room: Buffer) => Promise<T>): Promise<T>
}

/** Creates one, for all files of a server. It keeps a few buffers; more are made while more work at once. */
export function createChunkWorkshop(sealer: ChunkSealer = createChunkSealer()): ChunkWorkshop {
  const idle: Buffer[] = []
  return {
    sealer,
    async withBuffer(action) {
      const room = idle.pop() ?? Buffer.allocUnsafeSlow(mostAtOnce * (chunkBytes + chunkOverhead))
      try {
        return await action(room)
      } finally {
        if (idle.length < mostIdle) idle.push(room)
      }
    },
  }
}

/** Changed chunks that wait in memory for more to be written to them. Writers that jump about need a few. */
const mostWaiting = 3
/** Chunks read or written together. */
const mostAtOnce = 8
/** Buffers for runs of chunks that are kept: 2 MiB. */
const mostIdle = 4
/** A gap is filled with real zeros, because a hole would be something that anybody could make. */
const mostGapBytes = 64 * 2 ** 30

/** Creates the content of a new file; nothing of it is on the disk yet. */
export function createSealedContent(place: SealedPlace, userKey: Buffer): SealedContent {
  return new Content(place, { keys: newFileKeys(), size: 0, header: { on: 'memory', userKey } })
}

/** Opens the content of a file of `sealedSize` bytes. Throws `wrong-key` or `corrupted`. */
export async function openSealedContent(
  place: SealedPlace,
  sealedSize: number,
  userKeys: readonly Buffer[],
): Promise<SealedContent> {
  const header = Buffer.alloc(headerBytes)
  const length = await readFully(place.file, header, 0)
  const { keys, state } = readHeader(header.subarray(0, length), userKeys)
  const size = await sizeOf(place, { keys, state }, sealedSize)
  return new Content(place, { keys, size, header: { on: 'disk', state } })
}

/** Where the header is, and what it says there. */
type HeaderPlace =
  { readonly on: 'memory'; readonly userKey: Buffer } | { readonly on: 'disk'; readonly state: SealedState }

interface ContentStart {
  readonly keys: FileKeys
  readonly size: number
  readonly header: HeaderPlace
}

/** A chunk that was changed and is not on the disk yet, in a buffer of a whole chunk. */
interface DirtyChunk {
  readonly bytes: Buffer
  /** A writer has come to its end: most likely nothing more is written to it. */
  done: boolean
}

class Content implements SealedContent {
  readonly #place: SealedPlace
  readonly #keys: FileKeys
  #size: number
  #header: HeaderPlace
  /** By index, the latest touched last. */
  readonly #dirty = new Map<number, DirtyChunk>()
  /** Buffers of chunks that went to the disk, for the next ones. */
  readonly #free: Buffer[] = []
  /** The chunk that was read last: the next read begins in it more often than not. */
  #latest: { readonly index: number; readonly length: number; readonly bytes: Buffer } | undefined

  constructor(place: SealedPlace, { keys, size, header }: ContentStart) {
    this.#place = place
    this.#keys = keys
    this.#size = size
    this.#header = header
  }

  get size(): number {
    return this.#size
  }

  async read(into: Buffer, position: number): Promise<number> {
    const end = Math.min(position + into.length, this.#size)
    let at = position
    const take = (plain: Buffer): number => {
      const from = at % chunkBytes
      const taken = plain.copy(into, at - position, from, Math.min(plain.length, from + end - at))
      at += taken
      return taken
    }
    for (let left = end - at; left > 0; left = end - at) {
      const index = Math.floor(at / chunkBytes)
      const known = this.#dirty.get(index)?.bytes ?? this.#latestOf(index)
      if (known === undefined) await this.#fetch(index, this.#cleanFrom(index, end), take)
      else take(known)
    }
    return Math.max(0, at - position)
  }

  async write(chunks: readonly Buffer[], position: number): Promise<void> {
    if (position > this.#size) await this.#fill(position)
    let at = position
    for (const chunk of chunks) {
      for (let from = 0; from < chunk.length;) {
        const index = Math.floor(at / chunkBytes)
        const inside = at % chunkBytes
        const length = Math.min(chunk.length - from, chunkBytes - inside)
        const dirty = await this.#touch(index, inside, length)
        chunk.copy(dirty.bytes, inside, from, from + length)
        dirty.done = inside + length === chunkBytes
        at += length
        from += length
        if (at > this.#size) this.#size = at
      }
    }
    await this.#settle()
  }

  async resize(size: number): Promise<void> {
    if (size > this.#size) {
      await this.#fill(size)
      return this.#settle()
    }
    if (size === this.#size) return
    const last = Math.floor(size / chunkBytes)
    const rest = size % chunkBytes
    const kept = rest === 0 ? undefined : Buffer.from((await this.#touch(last, 1, 0)).bytes.subarray(0, rest))
    await this.#cutTo(last)
    this.#size = size
    if (kept === undefined) return
    const bytes = Buffer.alloc(chunkBytes)
    kept.copy(bytes)
    this.#dirty.set(last, { bytes, done: false })
  }

  async flush(): Promise<void> {
    await this.#writeOut([...this.#dirty.keys()], true)
    this.#free.length = 0
    const state = { at: 'complete', size: this.#size } as const
    const header = this.#header
    if (header.on === 'memory') {
      await this.#place.file.write([writeHeader({ keys: this.#keys, state }, header.userKey)], 0)
      this.#header = { on: 'disk', state }
    } else if (header.state.at !== 'complete' || header.state.size !== this.#size) {
      await this.#writeState(state)
    }
  }

  /** Forgets every chunk from `index` on, in memory and on the disk. */
  async #cutTo(index: number): Promise<void> {
    for (const dirty of [...this.#dirty.keys()]) if (dirty >= index) this.#dirty.delete(dirty)
    this.#latest = undefined
    if (this.#header.on === 'memory') return
    // First that the file may be short, then cutting it: whenever this ends, what is there is readable.
    const whole = index * chunkBytes
    await this.#writeState({ at: 'writing', size: Math.min(whole, this.#header.state.size) })
    const { size } = await this.#place.file.attributes()
    if (plainSizeOf(size) > whole) await this.#place.file.change({ size: sealedSizeOf(whole) })
  }

  /** Chunk `index` in a form that takes `length` bytes at `inside`: what is kept of it is there. */
  async #touch(index: number, inside: number, length: number): Promise<DirtyChunk> {
    const known = this.#dirty.get(index)
    const existing = this.#lengthOf(index)
    const dirty = known ?? { bytes: this.#bufferFor(length), done: false }
    if (known === undefined && existing > 0 && (inside > 0 || length < existing)) {
      const latest = this.#latestOf(index)
      if (latest === undefined) await this.#fetch(index, 1, (plain) => plain.copy(dirty.bytes))
      else latest.copy(dirty.bytes)
    }
    if (this.#latest?.index === index) this.#latest = undefined
    this.#dirty.delete(index)
    this.#dirty.set(index, dirty)
    return dirty
  }

  /** Chunks that are done go to the disk; of the others the latest few wait for more. */
  async #settle(): Promise<void> {
    const waiting = [...this.#dirty].filter(([, { done }]) => !done)
    const tooMany = waiting.slice(0, Math.max(0, waiting.length - mostWaiting))
    const done = [...this.#dirty].filter((entry) => entry[1].done)
    await this.#writeOut(
      [...done, ...tooMany].map(([index]) => index),
      false,
    )
  }

  async #fill(size: number): Promise<void> {
    if (size - this.#size > mostGapBytes)
      throw new FileError('too-large', 'Cannot fill so large a gap in an encrypted file')
    while (this.#size < size) {
      const index = Math.floor(this.#size / chunkBytes)
      const dirty = await this.#touch(index, this.#size % chunkBytes, 0)
      this.#size = Math.min(size, (index + 1) * chunkBytes)
      dirty.done = this.#size % chunkBytes === 0
      if (this.#dirty.size >= mostAtOnce) await this.#settle()
    }
  }

  /** Seals the chunks `indexes` and writes neighbours together. With `last` nothing else is left to write. */
  async #writeOut(indexes: readonly number[], last: boolean): Promise<void> {
    const sorted = [...indexes].sort((one, two) => one - two)
    for (let from = 0; from < sorted.length;) {
      const first = sorted[from] ?? 0
      let to = from + 1
      while (to < sorted.length && to - from < mostAtOnce && sorted[to] === first + to - from) to += 1
      await this.#writeRun(sorted.slice(from, to), last && from === 0 && to === sorted.length)
      from = to
    }
  }

  async #writeRun(run: readonly number[], whole: boolean): Promise<void> {
    await this.#place.chunks.withBuffer((room) => this.#writeSealed(run, whole, this.#sealRun(run, room)))
    for (const index of run) {
      const done = this.#dirty.get(index)?.bytes
      if (done !== undefined && this.#free.length < mostAtOnce / 2) this.#free.push(done)
      this.#dirty.delete(index)
    }
  }

  #sealRun(run: readonly number[], room: Buffer): Buffer {
    let end = 0
    for (const index of run) {
      const plain = this.#dirty.get(index)?.bytes.subarray(0, this.#lengthOf(index))
      if (plain === undefined || plain.length === 0) continue
      const into = room.subarray(end, end + plain.length + chunkOverhead)
      this.#place.chunks.sealer.seal(this.#keys, index, plain, into)
      end += into.length
    }
    return room.subarray(0, end)
  }

  async #writeSealed(run: readonly number[], whole: boolean, sealed: Buffer): Promise<void> {
    const first = run[0] ?? 0
    const header = this.#header
    if (header.on === 'memory' && first === 0) {
      // A small new file is one write: its header, complete, and its chunks.
      const state = whole ? ({ at: 'complete', size: this.#size } as const) : nothingYet
      await this.#place.file.write([writeHeader({ keys: this.#keys, state }, header.userKey), sealed], 0)
      this.#header = { on: 'disk', state }
    } else {
      await this.#announceGrowth(run)
      await this.#place.file.write([sealed], chunkOffset(first))
    }
  }

  /** A buffer of zeros, or of anything when all of it is about to be written. New memory costs more than sealing. */
  #bufferFor(length: number): Buffer {
    const used = this.#free.pop()
    if (length === chunkBytes) return used ?? Buffer.allocUnsafeSlow(chunkBytes)
    return used?.fill(0) ?? Buffer.alloc(chunkBytes)
  }

  /** Before the file grows its header says that it may. */
  async #announceGrowth(run: readonly number[]): Promise<void> {
    const header = this.#header
    if (header.on === 'memory') {
      await this.#place.file.write([writeHeader({ keys: this.#keys, state: nothingYet }, header.userKey)], 0)
      this.#header = { on: 'disk', state: nothingYet }
      return
    }
    const end = Math.min(((run.at(-1) ?? 0) + 1) * chunkBytes, this.#size)
    if (header.state.at === 'complete' && end > header.state.size)
      // The chunk that the file ended in is about to be written anew: only those before it are sure to stay.
      await this.#writeState({ at: 'writing', size: header.state.size - (header.state.size % chunkBytes) })
  }

  async #writeState(state: SealedState): Promise<void> {
    const { bytes, offset } = statePatch(this.#keys, state)
    await this.#place.file.write([bytes], offset)
    this.#header = { on: 'disk', state }
  }

  /** How many chunks from `index` on up to `end` have to come from the disk. */
  #cleanFrom(index: number, end: number): number {
    let count = 1
    while (count < mostAtOnce && (index + count) * chunkBytes < end && !this.#dirty.has(index + count))
      count += 1
    return count
  }

  /** Fetches `count` chunks in one read and gives the plain bytes of each to `take`, who does not keep them. */
  async #fetch(index: number, count: number, take: (plain: Buffer) => number): Promise<void> {
    await this.#place.chunks.withBuffer(async (room) => {
      const last = index + count - 1
      const length = chunkOffset(last) + this.#lengthOf(last) + chunkOverhead - chunkOffset(index)
      const read = await readFully(this.#place.file, room.subarray(0, length), chunkOffset(index))
      for (let from = 0, one = index; one <= last; one += 1) {
        const end = from + this.#lengthOf(one) + chunkOverhead
        const sealed = room.subarray(Math.min(read, from), Math.min(read, end))
        const plain = this.#place.chunks.sealer.open(this.#keys, one, sealed)
        take(plain)
        if (one === last) this.#remember(one, plain)
        from = end
      }
    })
  }

  #remember(index: number, plain: Buffer): void {
    const bytes = this.#latest?.bytes ?? Buffer.allocUnsafeSlow(chunkBytes)
    this.#latest = { index, length: plain.copy(bytes), bytes }
  }

  #latestOf(index: number): Buffer | undefined {
    return this.#latest?.index === index ? this.#latest.bytes.subarray(0, this.#latest.length) : undefined
  }

  #lengthOf(index: number): number {
    return Math.max(0, Math.min(chunkBytes, this.#size - index * chunkBytes))
  }
}

/** What the header of a new file says until the file is complete. */
const nothingYet: SealedState = { at: 'writing', size: 0 }

/** Throws when chunk `index`, of `length` plain bytes, is not what was written there. */
async function checkChunk(place: SealedPlace, keys: FileKeys, index: number, length: number): Promise<void> {
  await place.chunks.withBuffer(async (room) => {
    const sealed = room.subarray(0, length + chunkOverhead)
    const read = await readFully(place.file, sealed, chunkOffset(index))
    place.chunks.sealer.open(keys, index, sealed.subarray(0, read))
  })
}

/** How many plain bytes a file has, by what its header says and by how long it is. */
async function sizeOf(
  place: SealedPlace,
  { keys, state }: { readonly keys: FileKeys; readonly state: SealedState },
  sealedSize: number,
): Promise<number> {
  if (state.at === 'complete') {
    if (sealedSize !== sealedSizeOf(state.size)) throw cutShort('it was cut or extended')
    return state.size
  }
  const size = plainSizeOf(sealedSize)
  if (size < state.size) throw cutShort('it was cut')
  return withoutTornChunks(place, keys, { size, atLeast: state.size })
}

/** Who wrote the file was stopped: what was on its way to the disk at that moment is given up, from the end. */
async function withoutTornChunks(
  place: SealedPlace,
  keys: FileKeys,
  { size, atLeast }: { readonly size: number; readonly atLeast: number },
): Promise<number> {
  let left = size
  while (left > atLeast) {
    const index = Math.ceil(left / chunkBytes) - 1
    try {
      await checkChunk(place, keys, index, left - index * chunkBytes)
      return left
    } catch (error) {
      if (!(error instanceof FileError) || (error.code !== 'corrupted' && error.code !== 'cut-short'))
        throw error
      left = Math.max(atLeast, index * chunkBytes)
    }
  }
  return left
}

/** Reads until `into` is full or the file ends; the number of bytes read. */
export async function readFully(file: OpenFile, into: Buffer, position: number): Promise<number> {
  let length = 0
  while (length < into.length) {
    const read = await file.read(into.subarray(length), position + length)
    if (read === 0) break
    length += read
  }
  return length
}
