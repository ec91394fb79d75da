import { FileError } from '../base/errors.ts'
import type { DirectoryEntry } from '../base/file.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { OpenTransfer, UserListing } from '../files/user-files.ts'
import type { FileLine } from './file-line.ts'

/** Something the client has open. */
export type Opened = OpenedFile | OpenedDirectory

/** What a file was opened for. */
export interface OpenedFor {
  readonly reads: boolean
  readonly writes: boolean
  /** WRITEs go to the end, whatever their position. */
  readonly appends: boolean
}

/** An open file. */
export interface OpenedFile extends OpenedFor {
  readonly kind: 'file'
  readonly path: VirtualPath
  readonly transfer: OpenTransfer
  readonly line: FileLine
  /** Its end has begun: nobody else may end it. */
  ending: boolean
}

/** A directory being listed. */
export interface OpenedDirectory {
  readonly kind: 'directory'
  readonly path: VirtualPath
  readonly listing: UserListing
  /** Entries taken from the listing that did not fit into the last reply. */
  leftover: readonly DirectoryEntry[]
  readonly line: FileLine
  ending: boolean
}

/**
 * The handles of one session: numbers that are never used again, so that a stale handle cannot reach a newer
 * file. On the wire each carries the session's tag, so that another session's handle is never one of ours.
 */
export class Handles {
  readonly #opened = new Map<number, Opened>()
  /** Everything not ended yet, also what was asked to close and waits for its turn. */
  readonly #live = new Set<Opened>()
  readonly #most: number
  #last = 0
  /** Places promised to OPENs under way. */
  #reserved = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Keeps a place for something about to be opened. Throws when there is none. */
  reserve(): void {
    if (this.#opened.size + this.#reserved >= this.#most || this.#last >= 0xffff_ffff) {
      throw new FileError('too-many-open', 'Cannot open more files in one session')
    }
    this.#reserved += 1
  }

  /** Gives a reserved place back. */
  cancel(): void {
    this.#reserved -= 1
  }

  /** Fills a reserved place; returns the number on the wire. */
  add(opened: Opened): number {
    this.#reserved -= 1
    this.#last += 1
    this.#opened.set(this.#last, opened)
    this.#live.add(opened)
    return this.#last
  }

  /** The line of a file that is open under this name: the draft orders requests by file, not by handle (section 6.1). */
  lineOf(path: VirtualPath): FileLine | undefined {
    for (const opened of this.#live) if (opened.kind === 'file' && opened.path === path) return opened.line
    return undefined
  }

  get(number: number): Opened | undefined {
    return this.#opened.get(number)
  }

  /** From now on the number names nothing; what it stood for lives until `forget`. */
  remove(number: number): void {
    this.#opened.delete(number)
  }

  forget(opened: Opened): void {
    this.#live.delete(opened)
  }

  live(): Iterable<Opened> {
    return this.#live
  }

  clear(): void {
    this.#opened.clear()
    this.#live.clear()
  }
}
