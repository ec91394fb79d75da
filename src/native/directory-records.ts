import type { DirectoryEntry, FileAttributes } from '../base/file.ts'
import type { Soon } from '../base/soon.ts'
import { pinnedBuffer, type PinnedBuffer } from './arena.ts'
import type { EntryStream } from './directory-calls.ts'
import { errnos, fileErrorOf } from './errno.ts'
import { kindOfRecord } from './file-status.ts'
import type { KernelCalls } from './kernel-calls.ts'

/** Enough for some 500 names; a directory of a million needs no more. */
const recordBytes = 32 * 1024
/** Inside a record (`struct linux_dirent64`): its length, its kind, its name. */
const lengthAt = 16
const kindAt = 18
const nameAt = 19

/** Lists the open directory `fd`, which it owns from now on. */
export function createRecordListing(kernel: KernelCalls, fd: number): EntryStream {
  let records: PinnedBuffer | undefined
  let cursor = 0
  let filled = 0
  let open = true
  let pending = 0

  return {
    next(most) {
      const entries = next(most)
      if (!(entries instanceof Promise)) return entries
      pending += 1
      return entries.finally(() => {
        pending -= 1
        if (!open && pending === 0) kernel.close(fd)
      })
    },
    close() {
      // A call in the pool still reads through the descriptor: its number must not go to another file.
      if (open && pending === 0) kernel.close(fd)
      open = false
    },
  }

  function next(most: number): Soon<readonly DirectoryEntry[]> {
    if (!open) return []
    records ??= pinnedBuffer(recordBytes)
    return cursor < filled ? take(records, most) : refill(records, most)
  }

  function refill(from: PinnedBuffer, most: number): Soon<readonly DirectoryEntry[]> {
    const got = kernel.records(fd, from)
    return got instanceof Promise ? got.then((length) => accept(from, length, most)) : accept(from, got, most)
  }

  function accept(from: PinnedBuffer, length: number, most: number): Soon<readonly DirectoryEntry[]> {
    // A directory that was removed while it is read has no more entries.
    if (length === 0 || length === -errnos.ENOENT) return []
    if (length < 0) throw fileErrorOf(length, 'Cannot read a directory')
    cursor = 0
    filled = length
    return take(from, most)
  }

  /** Up to `most` entries; in the pool no more than the buffer holds, so that it stays while they are looked at. */
  function take(from: PinnedBuffer, most: number): Soon<readonly DirectoryEntry[]> {
    const entries: DirectoryEntry[] = []
    const waiting: Promise<void>[] = []
    while (entries.length + waiting.length < most) {
      if (cursor >= filled) {
        if (waiting.length > 0 || entries.length > 0) break
        return refill(from, most)
      }
      const offset = cursor
      cursor += from.bytes.readUInt16LE(offset + lengthAt)
      const name = nameIn(from.bytes, offset + nameAt, cursor)
      if (name === undefined) continue
      const kind = from.bytes[offset + kindAt] ?? 0
      const status = kernel.attributesAt(fd, from, offset + nameAt)
      if (status instanceof Promise) waiting.push(status.then((later) => add(entries, name, kind, later)))
      else add(entries, name, kind, status)
    }
    if (waiting.length === 0) return entries.length > 0 || cursor < filled ? entries : refill(from, most)
    return Promise.all(waiting).then(() => (entries.length > 0 ? entries : next(most)))
  }
}

/** Names that went away meanwhile are left out; those that may not be looked at stay, with what the record says. */
function add(entries: DirectoryEntry[], name: string, kind: number, status: FileAttributes | number): void {
  if (typeof status !== 'number') entries.push({ name, attributes: status })
  else if (status !== -errnos.ENOENT) entries.push({ name, attributes: unknownAttributes(kind) })
}

/** The name that starts at `start` and ends in a NUL before `end`; undefined for dots and for what is no name. */
function nameIn(bytes: Buffer, start: number, end: number): string | undefined {
  let at = start
  for (; at < end; at += 1) {
    const byte = bytes[at]
    if (byte === 0) break
    // No honest disk says this, but a disk may be somebody's program.
    if (byte === 0x2f) return undefined
  }
  const name = bytes.toString('latin1', start, at)
  return name === '.' || name === '..' || name === '' ? undefined : name
}

function unknownAttributes(kind: number): FileAttributes {
  return {
    ...{ kind: kindOfRecord(kind) ?? 'file', mode: 0, uid: 0, gid: 0, size: 0, accessTime: 0, modifyTime: 0 },
    ...{ links: 1, device: 0, inode: 0 },
  }
}
