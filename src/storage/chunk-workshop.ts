import type { Soon } from '../base/soon.ts'
import { closing } from '../native/in-order.ts'
import type { OpenFile } from './backend.ts'
import { chunkBytes, chunkOverhead, createChunkSealer, type ChunkSealer } from './sealed-format.ts'

/** Chunks that all files of a server keep in memory: 16 MiB. A client may open hundreds of files and write to each. */
const mostKept = 256
/** Chunks read or written together. */
export const mostAtOnce = 8
/** Buffers for runs of chunks that are kept: 2 MiB. */
const mostIdle = 4
/** After so many chunks that nobody asked for one by one it is everybody else's turn: some 2 ms of work. */
export const mostInOneTurn = 64

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
