import { FileError } from '../../base/errors.ts'
import type { OpenIntent } from '../../base/file.ts'
import { recovering, whenReady, type Soon } from '../../base/soon.ts'
import type { VirtualPath } from '../../base/virtual-path.ts'
import type { OpenTransfer, UserFiles } from '../../files/user-files.ts'
import { readAttributes } from '../attributes.ts'
import type { OpenedFile } from '../handles.ts'
import { maxDataBytes, openFlag } from '../protocol.ts'
import type { Reply } from '../reply.ts'
import { done, fileIn, okReply, pathIn, type Operation } from './operation.ts'

/** OPEN: gives a file a handle. */
export const open: Operation = {
  name: 'open',
  // Whether it writes depends on its flags.
  writes: false,
  begin(fields, conversation) {
    const path = pathIn(fields, conversation)
    const intent = intentOf(fields.u32(), readAttributes(fields).mode)
    const changes = intent.write || intent.create
    if (changes && conversation.readOnly) {
      throw new FileError('permission-denied', 'Cannot open a file for writing in a read-only session')
    }
    const { files, handles } = conversation
    const can = { reads: intent.read, writes: intent.write, appends: intent.append }
    return {
      at: 'names',
      paths: [path],
      changes,
      run() {
        handles.reserve()
        return orCancel(
          () =>
            whenReady(openOrLook(files, path, intent), (transfer) =>
              conversation.keepFile(path, transfer, can),
            ),
          () => handles.cancel(),
        )
      },
    }
  },
}

/** READ: answers with DATA, or EOF past the end. Lengths past the limit are shortened, as in OpenSSH. */
export const read: Operation = {
  name: 'read',
  writes: false,
  begin(fields, conversation) {
    const opened = fileIn(fields, conversation)
    const position = fields.position()
    const length = Math.min(fields.u32(), maxDataBytes)
    // Refusals and empty answers wait in line too: the answers of one handle keep the order of the requests.
    if (!opened.reads) return { at: 'handle', opened, changes: false, run: refuse('bad-handle') }
    if (position < 0) return { at: 'handle', opened, changes: false, run: refuse('bad-message') }
    if (length === 0) return { at: 'handle', opened, changes: false, run: () => ({ is: 'empty-data' }) }
    return { at: 'read', opened, position, length }
  },
}

/** WRITE: all of the data or an error. */
export const write: Operation = {
  name: 'write',
  writes: true,
  begin(fields, conversation) {
    const opened = fileIn(fields, conversation)
    const position = positionFor(opened, fields.position())
    const chunks = fields.data()
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    if (!opened.writes) return { at: 'handle', opened, changes: false, run: refuse('bad-handle') }
    if (position < 0 || !Number.isSafeInteger(position + length) || length > maxDataBytes) {
      return { at: 'handle', opened, changes: false, run: refuse('bad-message') }
    }
    if (length === 0) return { at: 'handle', opened, changes: false, run: () => okReply }
    return { at: 'write', opened, position, chunks, length }
  },
}

/** What is appended goes to the end, whatever position the client names: also one that we could not use. */
function positionFor({ appends }: OpenedFile, position: number): number {
  return appends && (position < 0 || !Number.isSafeInteger(position + maxDataBytes)) ? 0 : position
}

/** CLOSE: waits for what was asked of the handle before; from now on the handle names nothing. */
export const close: Operation = {
  name: 'close',
  writes: false,
  begin(fields, { handles, tag }) {
    const number = fields.handle(tag)
    const opened = handles.get(number)
    // ENOENT, as OpenSSH answers for a handle that it does not know.
    if (opened === undefined) throw new FileError('not-found', 'Cannot close a handle that is not open')
    handles.remove(number)
    const run = (): Soon<Reply> => {
      opened.ending = true
      handles.forget(opened)
      return whenReady(opened.kind === 'file' ? opened.transfer.close() : opened.listing.close(), done)
    }
    return { at: 'handle', opened, changes: opened.kind === 'file' && opened.writes, run }
  },
}

/** FSTAT: attributes of an open file, whatever its name is by now. */
export const fstat: Operation = {
  name: 'fstat',
  writes: false,
  begin(fields, conversation) {
    const opened = fileIn(fields, conversation)
    return {
      at: 'handle',
      opened,
      changes: false,
      run: () => whenReady(opened.transfer.attributes(), (attributes) => ({ is: 'attributes', attributes })),
    }
  },
}

/** FSETSTAT: changes attributes of an open file. */
export const fsetstat: Operation = {
  name: 'fsetstat',
  writes: true,
  begin(fields, conversation) {
    const opened = fileIn(fields, conversation)
    const change = readAttributes(fields)
    return {
      at: 'handle',
      opened,
      changes: true,
      run: () => whenReady(opened.transfer.change(change), done),
    }
  },
}

/** As OpenSSH, a directory opened for reading gets a handle: FSTAT and FSETSTAT work on it, and no READ does. */
function openOrLook(files: UserFiles, path: VirtualPath, intent: OpenIntent): Soon<OpenTransfer> {
  return recovering<OpenTransfer>(
    () => files.open(path, intent),
    (error) => {
      const isDirectory = error instanceof FileError && error.code === 'is-a-directory'
      if (!isDirectory || intent.write || intent.create) throw error
      return whenReady(files.attributes(path, { follow: true }), () => openDirectory(files, path))
    },
  )
}

function openDirectory(files: UserFiles, path: VirtualPath): OpenTransfer {
  const refuseBytes = refuse('is-a-directory')
  const nothing = (): void => {}
  return {
    read: refuseBytes,
    write: refuseBytes,
    attributes: () => files.attributes(path, { follow: true }),
    change: (change) => files.change(path, change, { follow: true }),
    sync: () => {
      throw new FileError('not-found', 'Cannot sync what is not an open file')
    },
    close: nothing,
    interrupt: nothing,
  }
}

/** No flag at all means reading, as O_RDONLY is 0; flags that only make sense for writing are dropped without it. */
function intentOf(flags: number, mode = 0o666): OpenIntent {
  const writes = (flags & openFlag.write) !== 0
  const create = (flags & openFlag.create) !== 0
  return {
    read: (flags & openFlag.read) !== 0 || !writes,
    write: writes,
    append: writes && (flags & openFlag.append) !== 0,
    create,
    truncate: writes && (flags & openFlag.truncate) !== 0,
    exclusive: create && (flags & openFlag.exclusive) !== 0,
    mode,
  }
}

/** Runs `action`; when it fails, now or later, `cancel` runs before the failure goes on. */
export function orCancel<T>(action: () => T | Promise<T>, cancel: () => void): T | Promise<T> {
  const fail = (error: unknown): never => {
    cancel()
    throw error
  }
  try {
    const value = action()
    return value instanceof Promise ? value.catch(fail) : value
  } catch (error) {
    return fail(error)
  }
}

function refuse(code: 'bad-handle' | 'bad-message' | 'is-a-directory'): () => never {
  return () => {
    throw new FileError(code, 'Cannot do this with the open file')
  }
}
