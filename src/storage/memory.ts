import type { DirectoryEntry } from '../base/file.ts'
import type { Soon } from '../base/soon.ts'
import type { Backend, Listing, OpenFile } from './backend.ts'
import type { MemoryFile } from './memory-file.ts'
import { createMemoryTree, type MemoryTreeOptions } from './memory-tree.ts'
import { missingIsNothing } from './missing-is-nothing.ts'

/** How a memory backend behaves. */
export interface MemoryBackendOptions extends MemoryTreeOptions {
  /** Answer every call with a promise, as a slow disk does; default false. */
  readonly later?: boolean
}

/** Creates an empty place whose files live in the memory of this process: for tests and demonstrations. */
export function createMemoryBackend(options: MemoryBackendOptions = {}): Backend {
  const tree = createMemoryTree(options)
  const answer = options.later === true ? later : atOnce
  return {
    open: (path, intent) => answer(() => wrapFile(tree.open(path, intent), answer)),
    attributes: (path, { follow }) => answer(() => tree.attributes(path, follow)),
    find: (path) => missingIsNothing(() => answer(() => tree.attributes(path, false))),
    change: (path, change, { follow }) => answer(() => tree.change(path, change, follow)),
    list: (path) => answer(() => wrapListing(tree.list(path), answer)),
    makeDirectory: (path, mode) => answer(() => tree.makeDirectory(path, mode)),
    removeDirectory: (path) => answer(() => tree.removeDirectory(path)),
    remove: (path) => answer(() => tree.remove(path)),
    rename: (from, to, { replace }) => answer(() => tree.rename(from, to, replace)),
    resolve: (path) => answer(() => tree.resolve(path)),
    space: (path) => answer(() => tree.space(path)),
    links: {
      read: (path) => answer(() => tree.readLink(path)),
      symbolic: (target, path) => answer(() => tree.symbolic(target, path)),
      hard: (existing, path) => answer(() => tree.hard(existing, path)),
    },
    close() {},
  }
}

type Answer = <T>(action: () => T) => Soon<T>

const atOnce: Answer = (action) => action()

// A turn of the event loop lies between call and answer, so that callers who forget to wait are found out.
const later: Answer = async (action) => {
  await new Promise((resolve) => setImmediate(resolve))
  return action()
}

function wrapFile(file: MemoryFile, answer: Answer): OpenFile {
  return {
    read: (into, position) => answer(() => file.read(into, position)),
    write: (chunks, position) => answer(() => file.write(chunks, position)),
    attributes: () => answer(() => file.attributes()),
    change: (change) => answer(() => file.change(change)),
    sync: () => answer(() => undefined),
    close: () => answer(() => undefined),
  }
}

function wrapListing(entries: Iterator<DirectoryEntry>, answer: Answer): Listing {
  return {
    next: (most) => answer(() => take(entries, most)),
    close: () => answer(() => undefined),
  }
}

function take(entries: Iterator<DirectoryEntry>, most: number): readonly DirectoryEntry[] {
  const taken: DirectoryEntry[] = []
  while (taken.length < most) {
    const next = entries.next()
    if (next.done === true) break
    taken.push(next.value)
  }
  return taken
}
