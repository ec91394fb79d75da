import type { Soon } from '../base/soon.ts'
import type { OpenFile } from './backend.ts'
import { createChunkWorkshop, type ChunkWorkshop, type SealedPlace } from './chunk-workshop.ts'
import type { SealedContent } from './sealed-content.ts'
import { createSerialQueue, type SerialQueue } from './serial-queue.ts'

/** An encrypted file as all who hold it open see it: one content, one thing done at a time. */
export interface SharedFile {
  readonly identity: string
  readonly queue: SerialQueue
  readonly place: SealedPlace & { readonly writable: boolean }
  readonly content: SealedContent
}

/** The encrypted files that are open. */
export interface SharedFiles {
  /** What all of them seal and open chunks with. */
  readonly chunks: ChunkWorkshop
  /**
   * The shared form of a file: the one that is held already, or one whose content `make` opens. `opened` becomes
   * its handle, or is closed when the one at hand can do as much.
   */
  acquire(
    identity: string,
    opened: { readonly file: OpenFile; readonly writable: boolean },
    make: (place: SealedPlace) => Promise<SealedContent>,
  ): Promise<SharedFile>
  /** One holder fewer; after the last the handle is closed. */
  release(file: SharedFile): Soon<void>
  find(identity: string): SharedFile | undefined
}

interface Held {
  readonly place: { file: OpenFile; writable: boolean; readonly chunks: ChunkWorkshop }
  readonly shared: Promise<SharedFile>
  ready: SharedFile | undefined
  holders: number
}

/** Creates an empty table. Backends over the same place in one process must share one. */
export function createSharedFiles(chunks: ChunkWorkshop = createChunkWorkshop()): SharedFiles {
  const table = new Map<string, Held>()

  return {
    chunks,
    async acquire(identity, opened, make) {
      const known = table.get(identity)
      if (known !== undefined) return join(known, opened)
      const held = begin(identity, { ...opened, chunks }, make)
      table.set(identity, held)
      try {
        held.ready = await held.shared
        return held.ready
      } catch (error) {
        if (table.get(identity) === held) table.delete(identity)
        throw error
      }
    },
    release(file) {
      const held = table.get(file.identity)
      if (held?.ready !== file) return undefined
      held.holders -= 1
      if (held.holders > 0) return undefined
      table.delete(file.identity)
      return file.queue.run(() => {
        file.content.release()
        return held.place.file.close()
      })
    },
    find: (identity) => table.get(identity)?.ready,
  }
}

function begin(
  identity: string,
  opened: { readonly file: OpenFile; readonly writable: boolean; readonly chunks: ChunkWorkshop },
  make: (place: SealedPlace) => Promise<SealedContent>,
): Held {
  const place = { ...opened }
  const queue = createSerialQueue()
  const shared = make(place).then((content): SharedFile => ({ identity, queue, place, content }))
  return { place, shared, ready: undefined, holders: 1 }
}

async function join(
  held: Held,
  opened: { readonly file: OpenFile; readonly writable: boolean },
): Promise<SharedFile> {
  held.holders += 1
  const file = await held.shared
  await file.queue.run(async () => {
    if (!opened.writable || held.place.writable) return opened.file.close()
    // A writer joins readers: from now on everything goes through the handle that can write.
    const before = held.place.file
    held.place.file = opened.file
    held.place.writable = true
    return before.close()
  })
  return file
}
