import { setImmediate } from 'node:timers/promises'
import { FileError } from '../base/errors.ts'
import { recovering, repeating, whenReady, type Soon } from '../base/soon.ts'
import { closing } from '../native/in-order.ts'
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

/**
 * The plain content of one encrypted file. Calls come one at a time: whoever holds it sees to that.
 *
 * What lies below answers at once on a fast disk, and then so does this: a turn of promises for each request of a
 * client would cost as much as encrypting it, and its answers would leave one by one.
 */
export interface SealedContent {
  readonly size: number
  read(into: Buffer, position: number): Soon<number>
  write(chunks: readonly Buffer[], position: number): Soon<void>
  resize(size: number): Soon<void>
  /** Puts down what is held back, and that the file is complete. */
  flush(): Soon<void>
  /** Nobody holds the file any more: what it kept in memory goes. */
  release(): void
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
  withBuffer<T>(action: (room: Buffer) => Soon<T>): Soon<T>
  /** Buffers of one chunk that all files together keep right now. */
  kept: number
  /** Too many are kept: files put down what they hold back, and keep no more. */
  readonly crowded: boolean
}

/** Creates one, for all files of a server. It keeps a few buffers; more are made while more work at once. */
export function createChunkWorkshop(sealer: ChunkSealer = createChunkSealer()): ChunkWorkshop {
  const idle: Buffer[] = []
  return {
    sealer,
    kept: 0,
    get crowded() {
      return this.kept > mostKept
    },
    withBuffer(action) {
      const room = idle.pop() ?? Buffer.allocUnsafeSlow(mostAtOnce * (chunkBytes + chunkOverhead))
      const giveBack = (): void => {
        if (idle.length < mostIdle) idle.push(room)
      }
      return closing(giveBack, () => action(room))
    },
  }
}

/** Changed chunks that wait in memory for more to be written to them. Writers that jump about need a few. */
const mostWaiting = 3
/**
 * Whole chunks that wait to be written together. Measured on ext4, processor time for a chunk: 26 us one by one, 17 us
 * four at a time; two plain writes of 32 KiB take 20 us.
 */
const fewestWritten = 4
/** Chunks that all files of a server keep in memory: 16 MiB. A client may open hundreds of files and write to each. */
const mostKept = 256
/** Chunks read or written together. */
const mostAtOnce = 8
/** Buffers for runs of chunks that are kept: 2 MiB. */
const mostIdle = 4
/** After so many chunks that nobody asked for one by one it is everybody else's turn: some 2 ms of work. */
const mostInOneTurn = 64
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
  /** It was complete, and is being changed. */
  #reopened = false
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

  read(into: Buffer, position: number): Soon<number> {
    const end = Math.min(position + into.length, this.#size)
    let at = position
    const take = (plain: Buffer): void => {
      const from = at % chunkBytes
      at += plain.copy(into, at - position, from, Math.min(plain.length, from + end - at))
    }
    const chunks = repeating(() => {
      if (at >= end) return false
      const index = Math.floor(at / chunkBytes)
      const known = this.#dirty.get(index)?.bytes ?? this.#latestOf(index)
      if (known === undefined)
        return whenReady(this.#fetch(index, this.#cleanFrom(index, end), take), () => true)
      take(known)
      return true
    })
    return whenReady(chunks, () => Math.max(0, at - position))
  }

  write(chunks: readonly Buffer[], position: number): Soon<void> {
    const filled = position > this.#size ? this.#fill(position) : undefined
    return whenReady(filled, () => whenReady(this.#take(chunks, position), () => this.#settle()))
  }

  resize(size: number): Soon<void> {
    if (size > this.#size) return whenReady(this.#fill(size), () => this.#settle())
    if (size === this.#size) return undefined
    const last = Math.floor(size / chunkBytes)
    const rest = size % chunkBytes
    const touched = rest === 0 ? undefined : this.#touch(last, 1, 0)
    return whenReady(touched, (dirty) => {
      // In a buffer of its own: the chunk itself is forgotten with the others.
      const kept = dirty === undefined ? undefined : Buffer.from(dirty.bytes.subarray(0, rest))
      return whenReady(this.#cutTo(last), () => {
        this.#size = size
        if (kept === undefined) return
        const bytes = this.#bufferFor(0)
        kept.copy(bytes)
        this.#dirty.set(last, { bytes, done: false })
      })
    })
  }

  flush(): Soon<void> {
    return whenReady(this.#writeOut([...this.#dirty.keys()], true), () => {
      this.#dropFree()
      const state = { at: 'complete', size: this.#size } as const
      const header = this.#header
      if (header.on === 'memory') return this.#writeHeader(header.userKey, state)
      if (header.state.at === 'complete' && header.state.size === this.#size) return undefined
      // What was there before must not depend on whether the new chunks or the new header reach the disk first.
      return whenReady(this.#reopened ? this.#place.file.sync() : undefined, () => {
        this.#reopened = false
        return this.#writeState(state)
      })
    })
  }

  release(): void {
    for (const index of [...this.#dirty.keys()]) this.#dropDirty(index)
    this.#dropFree()
    this.#forgetLatest()
  }

  /** Copies what a client wrote into the chunks it belongs to. */
  #take(chunks: readonly Buffer[], position: number): Soon<void> {
    let at = position
    let from = 0
    let next = 0
    return repeating(() => {
      const chunk = chunks[next]
      if (chunk === undefined) return false
      if (from === chunk.length) {
        from = 0
        next += 1
        return true
      }
      const inside = at % chunkBytes
      const length = Math.min(chunk.length - from, chunkBytes - inside)
      return whenReady(this.#touch(Math.floor(at / chunkBytes), inside, length), (dirty) => {
        chunk.copy(dirty.bytes, inside, from, from + length)
        dirty.done = inside + length === chunkBytes
        at += length
        from += length
        if (at > this.#size) this.#size = at
        return true
      })
    })
  }

  /** Forgets every chunk from `index` on, in memory and on the disk. */
  #cutTo(index: number): Soon<void> {
    for (const dirty of [...this.#dirty.keys()]) if (dirty >= index) this.#dropDirty(dirty)
    this.#forgetLatest()
    if (this.#header.on === 'memory') return undefined
    const { file } = this.#place
    // First that the file may be short, then cutting it: whenever this ends, what is there is readable.
    const whole = index * chunkBytes
    const { state } = this.#header
    const announced =
      state.at === 'complete' && whole > 0
        ? this.#reopen(Math.min(whole, state.size))
        : this.#writeState({ at: 'writing', size: Math.min(whole, state.size) })
    return whenReady(announced, () =>
      whenReady(file.attributes(), ({ size }) =>
        plainSizeOf(size) > whole ? file.change({ size: sealedSizeOf(whole) }) : undefined,
      ),
    )
  }

  /** Chunk `index` in a form that takes `length` bytes at `inside`: what is kept of it is there. */
  #touch(index: number, inside: number, length: number): Soon<DirtyChunk> {
    const known = this.#dirty.get(index)
    const existing = this.#lengthOf(index)
    const dirty = known ?? { bytes: this.#bufferFor(length), done: false }
    const begin = (): DirtyChunk => {
      if (this.#latest?.index === index) this.#forgetLatest()
      this.#dirty.delete(index)
      this.#dirty.set(index, dirty)
      return dirty
    }
    if (known !== undefined || existing === 0 || (inside === 0 && length >= existing)) return begin()
    const latest = this.#latestOf(index)
    if (latest === undefined) {
      const fetched = recovering(
        () => this.#fetch(index, 1, (plain) => plain.copy(dirty.bytes)),
        (error) => {
          this.#place.chunks.kept -= 1
          throw error
        },
      )
      return whenReady(fetched, begin)
    }
    latest.copy(dirty.bytes)
    return begin()
  }

  /** Chunks that are done go to the disk, a few together; of the others the latest few wait for more. */
  #settle(): Soon<void> {
    const done: number[] = []
    const waiting: number[] = []
    for (const [index, dirty] of this.#dirty) (dirty.done ? done : waiting).push(index)
    if (this.#place.chunks.crowded) return this.#writeOut([...done, ...waiting], false)
    if (waiting.length > mostWaiting) done.push(...waiting.slice(0, waiting.length - mostWaiting))
    else if (done.length < fewestWritten) return undefined
    return this.#writeOut(done, false)
  }

  #fill(size: number): Soon<void> {
    if (size - this.#size > mostGapBytes)
      throw new FileError('too-large', 'Cannot fill so large a gap in an encrypted file')
    let filled = 0
    return repeating(() => {
      if (this.#size >= size) return false
      const index = Math.floor(this.#size / chunkBytes)
      return whenReady(this.#touch(index, this.#size % chunkBytes, 0), (dirty) => {
        this.#size = Math.min(size, (index + 1) * chunkBytes)
        dirty.done = this.#size % chunkBytes === 0
        const settled = this.#dirty.size >= mostAtOnce ? this.#settle() : undefined
        filled += 1
        return whenReady(settled, () => (filled % mostInOneTurn === 0 ? setImmediate(true) : true))
      })
    })
  }

  /** Seals the chunks `indexes` and writes neighbours together. With `last` nothing else is left to write. */
  #writeOut(indexes: readonly number[], last: boolean): Soon<void> {
    const sorted = [...indexes].sort((one, two) => one - two)
    let from = 0
    return repeating(() => {
      if (from === sorted.length) return false
      const first = sorted[from] ?? 0
      let to = from + 1
      while (to < sorted.length && to - from < mostAtOnce && sorted[to] === first + to - from) to += 1
      const run = sorted.slice(from, to)
      from = to
      return whenReady(this.#writeRun(run, last && run.length === sorted.length), () => true)
    })
  }

  #writeRun(run: readonly number[], whole: boolean): Soon<void> {
    const written = this.#place.chunks.withBuffer((room) =>
      this.#writeSealed(run, whole, this.#sealRun(run, room)),
    )
    return whenReady(written, () => {
      for (const index of run) this.#dropDirty(index)
    })
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

  #writeSealed(run: readonly number[], whole: boolean, sealed: Buffer): Soon<void> {
    const first = run[0] ?? 0
    const header = this.#header
    if (header.on === 'memory' && first === 0) {
      // A small new file is one write: its header, complete, and its chunks.
      const state = whole ? ({ at: 'complete', size: this.#size } as const) : nothingYet
      return this.#writeHeader(header.userKey, state, sealed)
    }
    return whenReady(this.#announceGrowth(run), () => this.#place.file.write([sealed], chunkOffset(first)))
  }

  /** A buffer of zeros, or of anything when all of it is about to be written. New memory costs more than sealing. */
  #bufferFor(length: number): Buffer {
    const used = this.#free.pop()
    if (used === undefined) this.#place.chunks.kept += 1
    if (length === chunkBytes) return used ?? Buffer.allocUnsafeSlow(chunkBytes)
    return used?.fill(0) ?? Buffer.alloc(chunkBytes)
  }

  /** A chunk that is not held back any more: it is on the disk, or cut off. */
  #dropDirty(index: number): void {
    const bytes = this.#dirty.get(index)?.bytes
    if (bytes === undefined) return
    this.#dirty.delete(index)
    if (this.#free.length <= fewestWritten && !this.#place.chunks.crowded) this.#free.push(bytes)
    else this.#place.chunks.kept -= 1
  }

  #dropFree(): void {
    this.#place.chunks.kept -= this.#free.length
    this.#free.length = 0
  }

  /** Before the file grows its header says that it may. */
  #announceGrowth(run: readonly number[]): Soon<void> {
    const header = this.#header
    if (header.on === 'memory') return this.#writeHeader(header.userKey, nothingYet)
    const end = Math.min(((run.at(-1) ?? 0) + 1) * chunkBytes, this.#size)
    if (header.state.at === 'complete' && end > header.state.size)
      // The chunk that the file ended in is about to be written anew: only those before it are sure to stay.
      return this.#reopen(header.state.size - (header.state.size % chunkBytes))
  }

  /**
   * Says of a complete file that it is being written, with at least `size` bytes. It is on the disk before anything
   * else changes: else a power cut could leave the old header beside the new length, and no byte would be readable.
   */
  #reopen(size: number): Soon<void> {
    this.#reopened = true
    return whenReady(this.#writeState({ at: 'writing', size }), () => this.#place.file.sync())
  }

  /** Writes the header of a new file, and what follows it in the same write. */
  #writeHeader(userKey: Buffer, state: SealedState, ...chunks: readonly Buffer[]): Soon<void> {
    const header = writeHeader({ keys: this.#keys, state }, userKey)
    return whenReady(this.#place.file.write([header, ...chunks], 0), () => {
      this.#header = { on: 'disk', state }
    })
  }

  #writeState(state: SealedState): Soon<void> {
    const { bytes, offset } = statePatch(this.#keys, state)
    return whenReady(this.#place.file.write([bytes], offset), () => {
      this.#header = { on: 'disk', state }
    })
  }

  /** How many chunks from `index` on up to `end` have to come from the disk. */
  #cleanFrom(index: number, end: number): number {
    let count = 1
    while (count < mostAtOnce && (index + count) * chunkBytes < end && !this.#dirty.has(index + count))
      count += 1
    return count
  }

  /** Fetches `count` chunks in one read and gives the plain bytes of each to `take`, who does not keep them. */
  #fetch(index: number, count: number, take: (plain: Buffer) => void): Soon<void> {
    const { file, chunks } = this.#place
    const last = index + count - 1
    const length = chunkOffset(last) + this.#lengthOf(last) + chunkOverhead - chunkOffset(index)
    return chunks.withBuffer((room) =>
      whenReady(readFully(file, room.subarray(0, length), chunkOffset(index)), (read) => {
        for (let from = 0, one = index; one <= last; one += 1) {
          const end = from + this.#lengthOf(one) + chunkOverhead
          const sealed = room.subarray(Math.min(read, from), Math.min(read, end))
          const plain = chunks.sealer.open(this.#keys, one, sealed)
          take(plain)
          if (one === last) this.#remember(one, plain)
          from = end
        }
      }),
    )
  }

  #remember(index: number, plain: Buffer): void {
    const { chunks } = this.#place
    if (this.#latest === undefined && chunks.crowded) return
    if (this.#latest === undefined) chunks.kept += 1
    const bytes = this.#latest?.bytes ?? Buffer.allocUnsafeSlow(chunkBytes)
    this.#latest = { index, length: plain.copy(bytes), bytes }
  }

  #forgetLatest(): void {
    if (this.#latest !== undefined) this.#place.chunks.kept -= 1
    this.#latest = undefined
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
function checkChunk(place: SealedPlace, keys: FileKeys, index: number, length: number): Soon<void> {
  return place.chunks.withBuffer((room) => {
    const sealed = room.subarray(0, length + chunkOverhead)
    return whenReady(readFully(place.file, sealed, chunkOffset(index)), (read) => {
      place.chunks.sealer.open(keys, index, sealed.subarray(0, read))
    })
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
  for (let looked = 1; left > atLeast; looked += 1) {
    if (looked % mostInOneTurn === 0) await setImmediate()
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
export function readFully(file: OpenFile, into: Buffer, position: number): Soon<number> {
  let length = 0
  const all = repeating(() =>
    whenReady(file.read(into.subarray(length), position + length), (read) => {
      length += read
      return read > 0 && length < into.length
    }),
  )
  return whenReady(all, () => length)
}
