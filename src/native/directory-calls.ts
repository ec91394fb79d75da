import type { AttributeChange, DirectoryEntry, FileAttributes, OpenIntent, SpaceInfo } from '../base/file.ts'
import type { Limiter } from '../base/limiter.ts'
import type { Soon } from '../base/soon.ts'
import type { VirtualPath } from '../base/virtual-path.ts'

/**
 * Everything that is done with names inside one directory, by somebody who cannot leave it.
 *
 * Paths are seen from that directory: an absolute link starts there, `..` stops there. Failures are `FileError`s.
 */
export interface DirectoryCalls {
  /** The descriptor of a regular file. What is none is refused, without waiting for a pipe or a device. */
  open(path: VirtualPath, intent: OpenIntent): Soon<number>
  attributes(path: VirtualPath, follow: boolean): Soon<FileAttributes>
  /** The attributes of the name itself; undefined where nothing has it. */
  find(path: VirtualPath): Soon<FileAttributes | undefined>
  /** The attributes of an open file. */
  attributesOf(fd: number): Soon<FileAttributes>
  /** Size, mode, times, owner; each is tried, the last failure is thrown. */
  change(path: VirtualPath, change: AttributeChange, follow: boolean): Soon<void>
  /** As `change`, of an open file. */
  changeOf(fd: number, change: AttributeChange): Soon<void>
  list(path: VirtualPath): Soon<EntryStream>
  /** The descriptor of a directory, to sync and to close. */
  openDirectory(path: VirtualPath): Soon<number>
  makeDirectory(path: VirtualPath, mode: number): Soon<void>
  removeDirectory(path: VirtualPath): Soon<void>
  remove(path: VirtualPath): Soon<void>
  rename(from: VirtualPath, to: VirtualPath, replace: boolean): Soon<void>
  resolve(path: VirtualPath): Soon<VirtualPath>
  readLink(path: VirtualPath): Soon<string>
  symbolicLink(target: string, path: VirtualPath): Soon<void>
  hardLink(existing: VirtualPath, path: VirtualPath): Soon<void>
  space(path: VirtualPath): Soon<SpaceInfo>
}

/** The entries of a directory, a portion at a time. */
export interface EntryStream {
  /** Some entries, at most `most`, without `.` and `..`; none at the end. */
  next(most: number): Soon<readonly DirectoryEntry[]>
  close(): void
}

/** An open directory; closing it ends what nobody calls any more. */
export interface OpenDirectory extends DirectoryCalls {
  close(): void
}

/** Where calls run at this moment; asked before each. */
export interface CallPlace {
  /** True: at once, on this thread. False: in the pool. */
  readonly inline: boolean
  /** How many calls may be in the pool together: its other threads stay free for other disks. */
  readonly limiter: Limiter
}

/** How to open a directory that nobody leaves. */
export interface OpenDirectoryOptions {
  /** A path of this machine, as its administrator wrote it; links in it are followed. */
  readonly realPath: string
  /** False for a root of `/` where the kernel's permissions are all there is; default true. */
  readonly confined?: boolean
  readonly place: CallPlace
}
