import type { AttributeChange, DirectoryEntry, FileAttributes, OpenIntent, SpaceInfo } from '../base/file.ts'
import type { Soon } from '../base/soon.ts'
import type { VirtualPath } from '../base/virtual-path.ts'

/**
 * A place where bytes live. Paths are canonical and relative to the backend's own root; nothing a path or a
 * link says leads out of it, races included. Failures are `FileError`s.
 *
 * Calls may answer at once or later (`Soon`): a fast local disk answers at once, a slow one from the pool.
 * So a failure is thrown at once or rejected later: wrap with `recovering`, or `await` inside `try`.
 */
export interface Backend {
  /** Opens a regular file; a pipe, a socket or a device is refused without waiting for it. */
  open(path: VirtualPath, intent: OpenIntent): Soon<OpenFile>
  /** Attributes of what the name stands for, or with `follow` false of the name itself. */
  attributes(path: VirtualPath, options: { readonly follow: boolean }): Soon<FileAttributes>
  /** Attributes of the name itself; undefined where nothing has it, which is common and costs no exception. */
  find(path: VirtualPath): Soon<FileAttributes | undefined>
  /** Changes size, mode, owner and times, in that order; the last failure is thrown. */
  change(path: VirtualPath, change: AttributeChange, options: { readonly follow: boolean }): Soon<void>
  /** Opens a directory for listing. */
  list(path: VirtualPath): Soon<Listing>
  makeDirectory(path: VirtualPath, mode: number): Soon<void>
  removeDirectory(path: VirtualPath): Soon<void>
  /** Removes a file or a link, never a directory. */
  remove(path: VirtualPath): Soon<void>
  /** Gives a file or directory another name. Without `replace` an existing target is left alone: `already-exists`. */
  rename(from: VirtualPath, to: VirtualPath, options: { readonly replace: boolean }): Soon<void>
  /** The path with every link on the way resolved, as seen from the root; the last component may be missing. */
  resolve(path: VirtualPath): Soon<VirtualPath>
  /** Returns when the names in a directory are on the disk. Left out where nothing outlives the process. */
  readonly syncDirectory?: (path: VirtualPath) => Promise<void>
  /** How full the place is. Left out where nobody knows. */
  readonly space?: (path: VirtualPath) => Soon<SpaceInfo>
  /** Links. Left out where the place has none. */
  readonly links?: BackendLinks
  /** How calls run right now and how long they take, for status. */
  readonly health?: () => BackendHealth
  close(): Promise<void> | void
}

/** The link calls of a backend. */
export interface BackendLinks {
  /** The stored target, byte for byte. */
  read(path: VirtualPath): Soon<string>
  /** Makes a symbolic link that holds `target` as it stands. The caller has decided that it may. */
  symbolic(target: string, path: VirtualPath): Soon<void>
  hard(existing: VirtualPath, path: VirtualPath): Soon<void>
}

/** One open regular file. Calls on one file may overlap; the owner closes it once, after the last. */
export interface OpenFile {
  /** Fills `into` from `position`; the number of bytes read, 0 at the end. */
  read(into: Buffer, position: number): Soon<number>
  /** As `read`, into one piece after the other, where that is done at once; undefined while it is not. */
  readNow?(pieces: readonly Buffer[], position: number): number | undefined
  /** Writes all of `chunks` one after the other from `position`, or everything at the end when opened to append. */
  write(chunks: readonly Buffer[], position: number): Soon<void>
  attributes(): Soon<FileAttributes>
  change(change: AttributeChange): Soon<void>
  /** Returns when the bytes are on the disk. */
  sync(): Soon<void>
  /**
   * Claims the file until it is closed, against everybody else who claims it, in this process and in others; false
   * when somebody has it. Left out where no other process comes.
   */
  claim?(): Soon<boolean>
  /** Whether somebody else has claimed the file. */
  claimed?(): Soon<boolean>
  close(): Soon<void>
}

/** A directory being listed. */
export interface Listing {
  /** The next entries, `.` and `..` left out, at most `most`; empty at the end and ever after. */
  next(most: number): Soon<readonly DirectoryEntry[]>
  close(): Soon<void>
}

/** How a place answers. */
export interface BackendHealth {
  /** Short calls run inline, or in the pool because they turned slow. */
  readonly calls: 'inline' | 'pool'
  readonly medianMicroseconds: number
}
