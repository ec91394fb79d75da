import type { Dir, Stats } from 'node:fs'
import type { DirectoryEntry, FileAttributes } from '../base/file.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { bytesOf } from '../base/virtual-path.ts'
import type { EntryStream } from '../native/directory-calls.ts'
import { errnoOf, errnos, fileErrorFrom } from '../native/errno.ts'
import { kindOfMode } from '../native/file-status.ts'
import type { PathCalls } from './path-calls.ts'
import { holdsByDescriptor, pathIn, type HeldDirectory } from './portable-walk.ts'

/** Lists a held directory, which it owns from now on. */
export function createPortableListing(
  calls: PathCalls,
  held: HeldDirectory,
  close: (fd: number) => void,
): EntryStream {
  let directory: Dir | undefined
  let ended = false
  let open = true
  let pending = 0

  return {
    next(most) {
      if (!open || ended) return []
      pending += 1
      return recovering(
        () =>
          whenReady(
            whenReady(opened(), (from) => portion(from, most, [])),
            settled,
          ),
        (error) => {
          settled(undefined)
          throw fileErrorFrom(error, 'Cannot read a directory')
        },
      )
    },
    close() {
      open = false
      // A call in the pool still uses the descriptor: its number must not go to another file.
      if (pending === 0) letGo()
    },
  }

  function settled<T>(entries: T): T {
    pending -= 1
    if (!open && pending === 0) letGo()
    return entries
  }

  function letGo(): void {
    directory?.closeSync()
    close(held.fd)
  }

  function opened(): Soon<Dir> {
    if (directory !== undefined) return directory
    const path = holdsByDescriptor ? bytesOf(`/proc/self/fd/${held.fd}`) : bytesOf(held.path)
    return whenReady(calls.openDirectory(path), (made) => (directory = made))
  }

  function portion(from: Dir, most: number, entries: DirectoryEntry[]): Soon<readonly DirectoryEntry[]> {
    for (;;) {
      if (entries.length >= most) return entries
      const found = one(from, entries)
      if (found instanceof Promise)
        return found.then((more) => (more ? portion(from, most, entries) : entries))
      if (!found) return entries
    }
  }

  /** Takes one entry; false at the end. */
  function one(from: Dir, entries: DirectoryEntry[]): Soon<boolean> {
    return whenReady(calls.readDirectory(from), (entry) => {
      if (entry === null) {
        ended = true
        return false
      }
      return whenReady(statusOf(entry.name), (attributes) => {
        if (attributes !== undefined) entries.push({ name: entry.name, attributes })
        return true
      })
    })
  }

  /** Undefined for what went away meanwhile; what may not be looked at is listed without knowledge. */
  function statusOf(name: string): Soon<FileAttributes | undefined> {
    return recovering<FileAttributes | undefined>(
      () => whenReady(calls.lstat(pathIn(held, name)), attributesOfStats),
      (error) => (errnoOf(error) === errnos.ENOENT ? undefined : unknown),
    )
  }
}

/** What Node knows of a file, in our words. */
export function attributesOfStats(stats: Stats): FileAttributes {
  const { mode, uid, gid, size, nlink, dev, ino, atimeMs, mtimeMs } = stats
  return {
    ...{ kind: kindOfMode(mode), mode: mode & 0o7777, uid, gid, size, links: nlink, device: dev, inode: ino },
    ...{ accessTime: Math.floor(atimeMs / 1000), modifyTime: Math.floor(mtimeMs / 1000) },
  }
}

const unknown: FileAttributes = {
  ...{ kind: 'file', mode: 0, uid: 0, gid: 0, size: 0, accessTime: 0, modifyTime: 0, links: 1 },
  ...{ device: 0, inode: 0 },
}
