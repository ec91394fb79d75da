import type { FilesystemConfig } from '../accounts/user.ts'
import { FileError, messageOf } from '../base/errors.ts'
import { type VirtualPath, childOf, rootPath } from '../base/virtual-path.ts'
import type { Backend } from '../storage/backend.ts'
import { backends } from '../storage/index.ts'
import type { EncryptedPlaces } from './encrypted-places.ts'

/** An encrypted place of somebody. */
export interface SampledPlace {
  /** `user/ada`, `folder/shared`. */
  readonly owner: string
  readonly root: string
  readonly filesystem: FilesystemConfig
}

/** A file that could not be read. */
export interface UnreadableFile {
  readonly owner: string
  /** Empty when the place itself could not be looked at. */
  readonly path: string
  readonly code: string
  readonly message: string
}

/** What the samples of a rehearsal came to. */
export interface SampleReport {
  readonly places: number
  readonly files: number
  readonly failed: readonly UnreadableFile[]
}

/** Names looked at in one place, at most: a sample need not know all of them. */
const mostNames = 2000
const toRead = {
  ...{ read: true, write: false, append: false, create: false, truncate: false, exclusive: false, mode: 0 },
}

/** Reads the first, the last and some bytes between of up to `perPlace` files of each place. */
export async function sampleFiles(
  places: readonly SampledPlace[],
  { encrypted, perPlace }: { readonly encrypted: EncryptedPlaces; readonly perPlace: number },
): Promise<SampleReport> {
  let files = 0
  const failed: UnreadableFile[] = []
  for (const { owner, root, filesystem } of places) {
    const tell = (path: string, error: unknown): void => {
      const code = error instanceof FileError ? error.code : 'input-output'
      failed.push({ owner, path, code, message: messageOf(error) })
    }
    try {
      const backend = encrypted.wrap(backends.local({ root }), filesystem, owner)
      try {
        for (const path of await someFiles(backend, perPlace)) {
          files += 1
          await readSome(backend, path).catch((error: unknown) => tell(path, error))
        }
      } finally {
        await backend.close()
      }
    } catch (error) {
      // A home that nobody has entered yet is not there.
      if (!(error instanceof FileError && error.code === 'not-found')) tell('', error)
    }
  }
  return { places: places.length, files, failed }
}

async function someFiles(backend: Backend, most: number): Promise<VirtualPath[]> {
  const found: VirtualPath[] = []
  const folders: VirtualPath[] = [rootPath]
  let seen = 0
  for (let folder = folders.shift(); folder !== undefined && seen < mostNames; folder = folders.shift()) {
    const listing = await backend.list(folder)
    try {
      for (;;) {
        const entries = await listing.next(100)
        if (entries.length === 0 || seen >= mostNames) break
        seen += entries.length
        for (const { name, attributes } of entries) {
          if (attributes.kind === 'directory') folders.push(childOf(folder, name))
          else if (attributes.kind === 'file') found.push(childOf(folder, name))
        }
      }
    } finally {
      await listing.close()
    }
  }
  // Another choice each time: rehearsals see more of a place than one would.
  return shuffled(found).slice(0, most)
}

async function readSome(backend: Backend, path: VirtualPath): Promise<void> {
  const file = await backend.open(path, toRead)
  try {
    const { size } = await file.attributes()
    const into = Buffer.alloc(4096)
    const places = [0, Math.floor(Math.random() * size), Math.max(0, size - into.length)]
    for (const position of places) if (size > 0) await file.read(into, position)
  } finally {
    await file.close()
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .sort((one, two) => one.order - two.order)
    .map(({ item }) => item)
}
