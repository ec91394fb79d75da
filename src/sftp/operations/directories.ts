import { FileError } from '../../base/errors.ts'
import type { DirectoryEntry } from '../../base/file.ts'
import { whenReady } from '../../base/soon.ts'
import { readAttributes } from '../attributes.ts'
import type { OpenedDirectory } from '../handles.ts'
import { statusReply, type Reply } from '../reply.ts'
import { eofStatus } from '../status.ts'
import { orCancel } from './files.ts'
import { done, openedIn, pathIn, type Operation } from './operation.ts'

/** OPENDIR: gives a directory a handle. */
export const opendir: Operation = {
  name: 'opendir',
  writes: false,
  begin(fields, conversation) {
    const path = pathIn(fields, conversation)
    const { files, handles } = conversation
    return {
      at: 'names',
      paths: [path],
      changes: false,
      run() {
        handles.reserve()
        return orCancel(
          () => whenReady(files.list(path), (listing) => conversation.keepDirectory(path, listing)),
          () => handles.cancel(),
        )
      },
    }
  },
}

/** READDIR: the next entries, as many as fit; EOF at the end and ever after. */
export const readdir: Operation = {
  name: 'readdir',
  writes: false,
  begin(fields, conversation) {
    const opened = openedIn(fields, conversation)
    if (opened.kind !== 'directory') throw new FileError('bad-handle', 'Cannot list the handle of a file')
    return { at: 'handle', opened, changes: false, run: () => nextEntries(opened) }
  },
}

/** MKDIR: the mode is the client's, or everything that the umask leaves. */
export const mkdir: Operation = {
  name: 'mkdir',
  writes: true,
  begin(fields, conversation) {
    const path = pathIn(fields, conversation)
    // Some old clients send no attributes at all.
    const { mode = 0o777 } = fields.left === 0 ? {} : readAttributes(fields)
    return {
      at: 'names',
      paths: [path],
      changes: true,
      run: () => whenReady(conversation.files.makeDirectory(path, mode), done),
    }
  },
}

/** RMDIR: an empty directory. */
export const rmdir: Operation = {
  name: 'rmdir',
  writes: true,
  begin(fields, conversation) {
    const path = pathIn(fields, conversation)
    return {
      at: 'names',
      paths: [path],
      changes: true,
      run: () => whenReady(conversation.files.removeDirectory(path), done),
    }
  },
}

/** Entries of one reply: few round trips, and a first answer soon. */
const mostEntries = 256
/** Bytes of names and long names in one reply; every client takes packets of this size. */
const mostReplyBytes = 64 * 1024
/** Everything in an entry but its two names. */
const entryBytes = 8 + 32 + 70

function nextEntries(opened: OpenedDirectory): Reply | Promise<Reply> {
  if (opened.leftover.length > 0) return asMuchAsFits(opened, opened.leftover)
  return whenReady(opened.listing.next(mostEntries), (entries) =>
    entries.length === 0 ? statusReply(eofStatus) : asMuchAsFits(opened, entries),
  )
}

function asMuchAsFits(opened: OpenedDirectory, entries: readonly DirectoryEntry[]): Reply {
  let bytes = 0
  let count = 0
  for (const { name } of entries) {
    bytes += 2 * name.length + entryBytes
    if (count > 0 && bytes > mostReplyBytes) break
    count += 1
  }
  opened.leftover = count === entries.length ? [] : entries.slice(count)
  return { is: 'entries', entries: count === entries.length ? entries : entries.slice(0, count) }
}
