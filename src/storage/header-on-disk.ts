import { whenReady, type Soon } from '../base/soon.ts'
import type { SealedPlace } from './chunk-workshop.ts'
import {
  chunkBytes,
  chunkOffset,
  plainSizeOf,
  sealedSizeOf,
  statePatch,
  writeHeader,
  type FileKeys,
  type SealedState,
} from './sealed-format.ts'

/** Where the header is, and what it says there. */
export type HeaderPlace =
  { readonly on: 'memory'; readonly userKey: Buffer } | { readonly on: 'disk'; readonly state: SealedState }

/** What the header of a new file says until the file is complete. */
const nothingYet: SealedState = { at: 'writing', size: 0 }

/**
 * The header of one file while its content changes: whenever the writer is stopped, what the header on the disk says
 * is true of the chunks that are there.
 */
export class HeaderOnDisk {
  readonly #place: SealedPlace
  readonly #keys: FileKeys
  #header: HeaderPlace
  /** It was complete, and is being changed. */
  #reopened = false

  constructor(place: SealedPlace, keys: FileKeys, header: HeaderPlace) {
    this.#place = place
    this.#keys = keys
    this.#header = header
  }

  /**
   * Writes the chunks `sealed` from chunk `first` on, after which the file has at least `end` plain bytes. With
   * `whole` these are all of the file.
   */
  writeChunks(
    sealed: Buffer,
    { first, end, whole }: { readonly first: number; readonly end: number; readonly whole: boolean },
  ): Soon<void> {
    if (this.#header.on === 'memory' && first === 0)
      // A small new file is one write: its header, complete, and its chunks.
      return this.#writeHeader(
        this.#header.userKey,
        whole ? { at: 'complete', size: end } : nothingYet,
        sealed,
      )
    return whenReady(this.#announceGrowth(end), () => this.#place.file.write([sealed], chunkOffset(first)))
  }

  /** Cuts the file to at most `size` plain bytes, a number of whole chunks. */
  cutTo(size: number): Soon<void> {
    if (this.#header.on === 'memory') return undefined
    const { file } = this.#place
    const { state } = this.#header
    const left = Math.min(size, state.size)
    // First that the file may be short, then cutting it: whenever this ends, what is there is readable.
    const announced =
      state.at === 'complete' && size > 0
        ? this.#reopen(left)
        : this.#writeState({ at: 'writing', size: left })
    return whenReady(announced, () =>
      whenReady(file.attributes(), (attributes) =>
        plainSizeOf(attributes.size) > size ? file.change({ size: sealedSizeOf(size) }) : undefined,
      ),
    )
  }

  /** Says that the file is complete with `size` bytes, which are all written. */
  complete(size: number): Soon<void> {
    const state = { at: 'complete', size } as const
    const header = this.#header
    if (header.on === 'memory') return this.#writeHeader(header.userKey, state)
    if (header.state.at === 'complete' && header.state.size === size) return undefined
    // What was there before must not depend on whether the new chunks or the new header reach the disk first.
    return whenReady(this.#reopened ? this.#place.file.sync() : undefined, () => {
      this.#reopened = false
      return this.#writeState(state)
    })
  }

  /**
   * Says of a complete file that it is being written, with at least `size` bytes. It is on the disk before anything
   * else changes: else a power cut could leave the old header beside the new length, and no byte would be readable.
   */
  #reopen(size: number): Soon<void> {
    this.#reopened = true
    return whenReady(this.#writeState({ at: 'writing', size }), () => this.#place.file.sync())
  }

  /** Before the file grows to `size` its header says that it may. */
  #announceGrowth(size: number): Soon<void> {
    const header = this.#header
    if (header.on === 'memory') return this.#writeHeader(header.userKey, nothingYet)
    if (header.state.at === 'complete' && size > header.state.size)
      // The chunk that the file ended in is about to be written anew: only those before it are sure to stay.
      return this.#reopen(header.state.size - (header.state.size % chunkBytes))
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
}
