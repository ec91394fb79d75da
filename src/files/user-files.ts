import type { AttributeChange, DirectoryEntry, FileAttributes, OpenIntent, SpaceInfo } from '../base/file.ts'
import type { Soon } from '../base/soon.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { Place } from './mounts.ts'

/**
 * What one logged-in person can do with files, whatever the protocol. Every call checks what the person may,
 * tells who asked to be told, and throws a `FileError` when it cannot be done.
 *
 * Calls answer at once where the place does (`Soon`).
 */
export interface UserFiles {
  /** Where relative paths start. */
  readonly startDirectory: VirtualPath
  readonly abilities: FileAbilities
  open(path: VirtualPath, intent: OpenIntent): Soon<OpenTransfer>
  attributes(path: VirtualPath, options: { readonly follow: boolean }): Soon<FileAttributes>
  change(path: VirtualPath, change: AttributeChange, options: { readonly follow: boolean }): Soon<void>
  list(path: VirtualPath): Soon<UserListing>
  makeDirectory(path: VirtualPath, mode: number): Soon<void>
  removeDirectory(path: VirtualPath): Soon<void>
  remove(path: VirtualPath): Soon<void>
  rename(from: VirtualPath, to: VirtualPath, options: { readonly replace: boolean }): Soon<void>
  /** The path with links resolved; the last component may be missing. Without the right to list: the path as it stands. */
  resolve(path: VirtualPath): Soon<VirtualPath>
  space(path: VirtualPath): Soon<SpaceInfo>
  readLink(path: VirtualPath): Soon<string>
  symbolicLink(target: string, path: VirtualPath): Soon<void>
  hardLink(existing: VirtualPath, path: VirtualPath): Soon<void>
  /** Ends what is still open as interrupted. */
  close(): Promise<void>
}

/** What works for this person and this place; a protocol offers nothing else. */
export interface FileAbilities {
  readonly symbolicLinks: boolean
  readonly hardLinks: boolean
  readonly space: boolean
}

/** One open file of one person, with its counting and its outcome. Ended exactly once, by `close` or `interrupt`. */
export interface OpenTransfer {
  /** Fills `into` from `position`; the number of bytes read, 0 at the end. */
  read(into: Buffer, position: number): Soon<number>
  /** As `read`, into one piece after the other, where that is done at once; undefined while it is not. */
  readNow?(pieces: readonly Buffer[], position: number): number | undefined
  /** Writes `chunks` one after the other from `position`, or at the end when opened to append. */
  write(chunks: readonly Buffer[], position: number): Soon<void>
  attributes(): Soon<FileAttributes>
  change(change: AttributeChange): Soon<void>
  /** Returns when the bytes are on the disk. */
  sync(): Soon<void>
  /** The person is done: an upload takes its final name, and who asked is told. Throws when the file is not what was sent. */
  close(): Soon<void>
  /** The person is gone: what waits for bandwidth comes back at once. `interrupt` follows. */
  hurry?(): void
  /** The person is gone: an upload that was not complete leaves no trace but what `upload_mode` keeps. */
  interrupt(): Soon<void>
  /** What a copy of this file is told as a copy of. Left out: copying from it is reading like any other. */
  readonly copySource?: CopySource
  /** Runs `work`, which fills this file with all of `source`. Where nothing else makes its content, a copy is told, no upload. */
  copyOf?(source: CopySource, work: () => Promise<void>): Promise<void>
}

/** An open file that is being copied. */
export interface CopySource {
  /** What the person called it when it was opened. */
  readonly place: Place
  attributes(): Soon<FileAttributes>
  /** From now on a copy tells of what is read here. */
  lend(): Loan
}

/** Reads that a copy tells of. Both are called once at most. */
export interface Loan {
  /** What is read from now on is the person's again. */
  end(): void
  /** The copy became something else: what it read is told as a download after all. After `end`. */
  takeBack(): Soon<void>
}

/** A directory being listed, without what the person may not see. */
export interface UserListing {
  /** The next entries, at most `most`; empty at the end and ever after. */
  next(most: number): Soon<readonly DirectoryEntry[]>
  close(): Soon<void>
}
