import { childOf, type VirtualPath } from '../base/virtual-path.ts'
import type { DirectoryEntry } from '../base/file.ts'
import type { Backend } from '../storage/backend.ts'

/** Everything below a directory of a backend, each directory before what it holds. Links are not followed. */
export async function* walk(
  backend: Backend,
  directory: VirtualPath,
): AsyncGenerator<{ readonly path: VirtualPath; readonly entry: DirectoryEntry }> {
  const listing = await backend.list(directory)
  const below: VirtualPath[] = []
  try {
    for (;;) {
      const entries = await listing.next(256)
      if (entries.length === 0) break
      for (const entry of entries) {
        const path = childOf(directory, entry.name)
        if (entry.attributes.kind === 'directory') below.push(path)
        yield { path, entry }
      }
    }
  } finally {
    await listing.close()
  }
  for (const path of below) yield* walk(backend, path)
}
