import { chownSync, close, fsync, statSync } from 'node:fs'
import { promisify } from 'node:util'
import { makeFolders } from '../base/make-folders.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import type {
  CallPlace,
  EntryStream,
  OpenDirectory,
  OpenDirectoryOptions,
} from '../native/directory-calls.ts'
import { fileErrorFrom } from '../native/errno.ts'
import { fileClaims, type FileClaims } from '../native/file-claim.ts'
import { confinement, openConfinedDirectory } from '../native/open-directory.ts'
import type { Backend, Listing } from './backend.ts'
import { createDisks, type Disk, type Disks } from './disks.ts'
import { createLocalFile } from './local-file.ts'
import { openPortableDirectory } from './portable-directory.ts'

/** Which directory of this machine a backend is. */
export interface LocalBackendOptions {
  /** The path of the directory, as its administrator wrote it; links in it are followed. */
  readonly root: string
  /** False for a root of `/` where the kernel's permissions are all there is; default true. */
  readonly confined?: boolean
  /** Make the directory, and those above it, where it is missing. Default: it has to be there. */
  readonly makeRoot?: MakeRoot
  /** What is known of the machine's disks; share it between backends. Default a table of its own. */
  readonly disks?: Disks
  /** Take the portable way although the kernel could confine; for tests. Default false. */
  readonly portable?: boolean
  /** How files are claimed; for tests. Default the machine's way. */
  readonly claims?: FileClaims
}

/** How a missing root is made. */
export interface MakeRoot {
  /** Permission bits, under the umask of the process; default 0o777. */
  readonly mode?: number
  /** Whose it becomes; default the process's own user. */
  readonly owner?: { readonly uid: number; readonly gid: number }
}

/** Opens a directory of this machine as a backend that nobody leaves. Throws a `FileError` when it cannot. */
export function openLocalBackend(options: LocalBackendOptions): Backend {
  const { root, confined = true, disks = createDisks(), portable = false, claims } = options
  if (options.makeRoot !== undefined) makeRoot(root, options.makeRoot)
  const disk = disks.diskOf(deviceOf(root), root)
  const place: CallPlace = {
    get inline() {
      return disk.calls.inline
    },
    limiter: disk.limiter,
  }
  return createLocalBackend(openDirectory({ realPath: root, confined, place }, portable), disk, claims)
}

/** Wraps an open directory, which the backend owns from now on. */
export function createLocalBackend(
  directory: OpenDirectory,
  disk: Disk,
  claims: FileClaims = fileClaims(),
): Backend {
  return {
    open: (path, intent) =>
      whenReady(
        timed(() => directory.open(path, intent)),
        (fd) => createLocalFile({ fd, append: intent.append, directory, disk, claims }),
      ),
    attributes: (path, { follow }) => timed(() => directory.attributes(path, follow)),
    find: (path) => timed(() => directory.find(path)),
    change: (path, change, { follow }) => timed(() => directory.change(path, change, follow)),
    list: (path) =>
      whenReady(
        timed(() => directory.list(path)),
        wrapListing,
      ),
    makeDirectory: (path, mode) => timed(() => directory.makeDirectory(path, mode)),
    removeDirectory: (path) => timed(() => directory.removeDirectory(path)),
    remove: (path) => timed(() => directory.remove(path)),
    rename: (from, to, { replace }) => timed(() => directory.rename(from, to, replace)),
    resolve: (path) => timed(() => directory.resolve(path)),
    syncDirectory: async (path) => syncAndClose(await directory.openDirectory(path)),
    space: (path) => timed(() => directory.space(path)),
    links: {
      read: (path) => timed(() => directory.readLink(path)),
      symbolic: (target, path) => timed(() => directory.symbolicLink(target, path)),
      hard: (existing, path) => timed(() => directory.hardLink(existing, path)),
    },
    health: () => ({ calls: disk.calls.inline ? 'inline' : 'pool', medianMicroseconds: disk.calls.median() }),
    close: () => directory.close(),
  }

  function wrapListing(stream: EntryStream): Listing {
    return {
      next: (most) =>
        timed(
          () => stream.next(most),
          (entries) => entries.length,
        ),
      close: () => stream.close(),
    }
  }

  /** Runs `action` and notes how long one call of it took; `callsIn` says how many it was made of. */
  function timed<T>(action: () => Soon<T>, callsIn?: (value: T) => number): Soon<T> {
    const start = performance.now()
    const note = (count: number): void => disk.calls.took((performance.now() - start) / Math.max(1, count))
    return recovering(
      () =>
        whenReady(action(), (value) => {
          note(callsIn?.(value) ?? 1)
          return value
        }),
      (error) => {
        note(1)
        throw error
      },
    )
  }
}

function makeRoot(root: string, { mode = 0o777, owner }: MakeRoot): void {
  try {
    if (makeFolders(root, mode) && owner !== undefined) chownSync(root, owner.uid, owner.gid)
  } catch (error) {
    throw fileErrorFrom(error, `Cannot make the directory "${root}"`)
  }
}

function openDirectory(options: OpenDirectoryOptions, portable: boolean): OpenDirectory {
  const kernel = confinement()
  return kernel.works && !portable ? openConfinedDirectory(kernel, options) : openPortableDirectory(options)
}

function deviceOf(root: string): number {
  try {
    return statSync(root).dev
  } catch (error) {
    throw fileErrorFrom(error, `Cannot open the directory "${root}"`)
  }
}

/** Waits for the disk whatever its speed: always in the pool. */
async function syncAndClose(fd: number): Promise<void> {
  try {
    await promisify(fsync)(fd)
  } catch (error) {
    throw fileErrorFrom(error, 'Cannot sync a directory')
  } finally {
    close(fd)
  }
}
