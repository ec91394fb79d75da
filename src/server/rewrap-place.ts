import { setImmediate } from 'node:timers/promises'
import { FileError, messageOf } from '../base/errors.ts'
import { type VirtualPath, childOf, rootPath } from '../base/virtual-path.ts'
import type { Backend } from '../storage/backend.ts'
import { backends } from '../storage/index.ts'
import { type KeyChange, rewrapFile } from '../storage/rewrap-file.ts'
import type { UnreadableFile } from './sample-files.ts'

/** What giving the files of a place to another key came to. */
export interface RewrapReport {
  readonly rewrapped: number
  /** They had the key already: an earlier round, or written since the passphrase was changed. */
  readonly already: number
  /** Files that SFTPGo wrote, and files that nobody encrypted: their keys cannot be exchanged. */
  readonly notOurs: number
  readonly failed: readonly UnreadableFile[]
  /** More failed than are listed. */
  readonly moreFailed: number
  readonly finished: boolean
}

/** What the work needs. */
export interface RewrapPlaceOptions {
  readonly owner: string
  readonly root: string
  readonly change: KeyChange
  readonly signal: AbortSignal
  readonly onProgress: (done: number) => Promise<void>
}

/** Failures that are listed; a home may hold millions of files. */
const mostListed = 1000
/** So often it is said how far it is, and is everybody else's turn. */
const filesInOneTurn = 16

/**
 * Gives every file below `root` to another user's key; contents stay as they are. Cut at any point, what was done is
 * done, every file opens with one of the two keys, and another round goes on with the rest.
 */
export async function rewrapPlace(options: RewrapPlaceOptions): Promise<RewrapReport> {
  const { owner, root, change, signal, onProgress } = options
  const counts = { rewrapped: 0, already: 0, 'not-ours': 0 }
  const failed: UnreadableFile[] = []
  let failures = 0
  let done = 0
  const base = backends.local({ root })
  try {
    for await (const path of filesBelow(base)) {
      if (signal.aborted) break
      try {
        counts[await rewrapFile(base, path, change)] += 1
      } catch (error) {
        failures += 1
        const code = error instanceof FileError ? error.code : 'input-output'
        if (failed.length < mostListed) failed.push({ owner, path, code, message: messageOf(error) })
      }
      done += 1
      if (done % filesInOneTurn !== 0) continue
      await setImmediate()
      await onProgress(done)
    }
  } finally {
    await base.close()
  }
  const { rewrapped, already, 'not-ours': notOurs } = counts
  const report = { rewrapped, already, notOurs, failed, moreFailed: failures - failed.length }
  return { ...report, finished: !signal.aborted }
}

async function* filesBelow(base: Backend): AsyncGenerator<VirtualPath> {
  const folders: VirtualPath[] = [rootPath]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const listing = await base.list(folder)
    try {
      for (;;) {
        const entries = await listing.next(100)
        if (entries.length === 0) break
        for (const { name, attributes } of entries) {
          if (attributes.kind === 'directory') folders.push(childOf(folder, name))
          else if (attributes.kind === 'file') yield childOf(folder, name)
        }
      }
    } finally {
      await listing.close()
    }
  }
}
