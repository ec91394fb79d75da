import { setTimeout } from 'node:timers/promises'
import { FileError } from '../base/errors.ts'
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
  /** Another one after `renew`. */
  readonly content: SealedContent
  /** Looks at the disk anew, while nobody here writes: another process may have written the file. Part of a turn. */
  renew(): Promise<void>
}

/** The encrypted files that are open. */
export interface SharedFiles {
  /** What all of them seal and open chunks with. */
  readonly chunks: ChunkWorkshop
  /**
   * The shared form of a file: the one that is held already, or one whose content `make` opens. `opened` becomes
   * its handle, or is closed when the one at hand can do as much. Throws `busy` when another process writes it.
   */
  acquire(identity: string, opened: OpenedFile, make: MakeContent): Promise<SharedFile>
  /** One holder fewer; after the last the handle is closed. */
  release(file: SharedFile): Soon<void>
  find(identity: string): SharedFile | undefined
}

/** A handle that was just opened. */
export interface OpenedFile {
  readonly file: OpenFile
  readonly writable: boolean
}

/** Opens what `place` holds. */
export type MakeContent = (place: SealedPlace) => Promise<SealedContent>

interface Held {
  readonly place: { file: OpenFile; writable: boolean; readonly chunks: ChunkWorkshop }
  readonly shared: Promise<SharedFile & { content: SealedContent }>
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
      if (known !== undefined) return join(known, opened, make)
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
    release,
    find: (identity) => table.get(identity)?.ready,
  }

  function release(file: SharedFile): Soon<void> {
    const held = table.get(file.identity)
    if (held?.ready !== file) return undefined
    held.holders -= 1
    if (held.holders > 0) return undefined
    table.delete(file.identity)
    return file.queue.run(() => {
      file.content.release()
      return held.place.file.close()
    })
  }

  async function join(held: Held, opened: OpenedFile, make: MakeContent): Promise<SharedFile> {
    held.holders += 1
    const file = await held.shared
    try {
      await file.queue.run(() =>
        !opened.writable || held.place.writable ? opened.file.close() : letWrite(held, opened.file, make),
      )
      return file
    } catch (error) {
      await release(file)
      throw error
    }
  }
}

function begin(
  identity: string,
  opened: OpenedFile & { readonly chunks: ChunkWorkshop },
  make: MakeContent,
): Held {
  const place = { ...opened }
  const queue = createSerialQueue()
  const claimed = place.writable ? claim(place.file) : Promise.resolve()
  const shared = claimed
    .then(() => make(place))
    .then((content) => {
      const file = {
        ...{ identity, queue, place, content },
        async renew(): Promise<void> {
          if (!place.writable) exchange(file, await make(place))
        },
      }
      return file
    })
  return { place, shared, ready: undefined, holders: 1 }
}

/** A writer joins readers: from now on everything goes through the handle that can write. */
async function letWrite(held: Held, file: OpenFile, make: MakeContent): Promise<void> {
  const { place } = held
  const shared = await held.shared
  await claim(file)
  const before = place.file
  place.file = file
  try {
    // Since the readers came another process may have written it.
    exchange(shared, await make(place))
  } catch (error) {
    place.file = before
    throw error
  }
  place.writable = true
  await before.close()
}

function exchange(shared: { content: SealedContent }, content: SealedContent): void {
  shared.content.release()
  shared.content = content
}

/** So often and so long a claim of another process is waited for: one of a session that was given up goes in a moment. */
const mostTries = 40
const pauseMs = 25

/**
 * Claims a file that is about to be written. What one process holds back in memory another would not see: two of them
 * at once would leave a file that neither wrote.
 */
async function claim(file: OpenFile): Promise<void> {
  if (file.claim === undefined) return
  for (let tries = 1; !(await file.claim()); tries += 1) {
    if (tries === mostTries)
      throw new FileError('busy', 'Cannot write an encrypted file: another process is writing it')
    await setTimeout(pauseMs)
  }
}
