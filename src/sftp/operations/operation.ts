import { FileError } from '../../base/errors.ts'
import { virtualPath, type VirtualPath } from '../../base/virtual-path.ts'
import type { OpenTransfer, UserFiles, UserListing } from '../../files/user-files.ts'
import type { Fields } from '../fields.ts'
import type { Handles, Opened, OpenedFile, OpenedFor } from '../handles.ts'
import type { People } from '../people.ts'
import { statusReply, type Reply } from '../reply.ts'
import { okStatus } from '../status.ts'
import type { Task } from '../task.ts'

/** One request of the protocol. */
export interface Operation {
  /** OpenSSH's name for it, as `-p` and `-P` of `sftp-server` take it. */
  readonly name: string
  /** Whether it changes anything: a read-only session refuses it. */
  readonly writes: boolean
  /** Reads the request's fields and says what is to be done; throws a `FileError` when it cannot be. */
  readonly begin: (fields: Fields, conversation: Conversation) => Task
}

/** What operations may use of their session. */
export interface Conversation {
  readonly files: UserFiles
  readonly people: People
  readonly handles: Handles
  /** First four bytes of the session's handles. */
  readonly tag: number
  readonly symlinkOrder: 'target-first' | 'link-first'
  readonly readOnly: boolean
  readonly mostHandles: number
  /** Nobody waits for an answer any more: what takes long ends. */
  readonly over: boolean
  /** Gives what was opened a handle; what was opened for a session that is over is ended at once. */
  keepFile(path: VirtualPath, transfer: OpenTransfer, can: OpenedFor): Reply
  keepDirectory(path: VirtualPath, listing: UserListing): Reply
}

/** Answers OK. */
export const okReply: Reply = statusReply(okStatus)

/** Answers OK to whatever was done. */
export function done(): Reply {
  return okReply
}

/** The path of a request, relative to the start directory. An empty one names nothing, as in OpenSSH. */
export function pathIn(fields: Fields, { files }: Conversation): VirtualPath {
  const raw = fields.string()
  if (raw === '') throw new FileError('not-found', 'Cannot use an empty path')
  return virtualPath(raw, files.startDirectory)
}

/** What a request's handle stands for. */
export function openedIn(fields: Fields, { handles, tag }: Conversation): Opened {
  const opened = handles.get(fields.handle(tag))
  if (opened === undefined) throw new FileError('bad-handle', 'Cannot use a handle that is not open')
  return opened
}

/** The file that a request's handle stands for. */
export function fileIn(fields: Fields, conversation: Conversation): OpenedFile {
  const opened = openedIn(fields, conversation)
  if (opened.kind !== 'file') throw new FileError('bad-handle', 'Cannot use the handle of a directory')
  return opened
}
