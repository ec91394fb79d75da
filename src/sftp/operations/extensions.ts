import { FileError } from '../../base/errors.ts'
import type { SpaceInfo } from '../../base/file.ts'
import { whenReady } from '../../base/soon.ts'
import { childOf, virtualPath, type VirtualPath } from '../../base/virtual-path.ts'
import { readAttributes } from '../attributes.ts'
import { copyData } from '../copy-data.ts'
import { stringBytes } from '../outbox.ts'
import { maxDataBytes, maxPacketBytes } from '../protocol.ts'
import type { Reply } from '../reply.ts'
import { renaming } from './names.ts'
import { done, fileIn, okReply, openedIn, pathIn, type Conversation, type Operation } from './operation.ts'

/** `posix-rename@openssh.com`: replaces what has the new name, in one step. */
export const posixRename: Operation = {
  name: 'posix-rename',
  writes: true,
  begin: (fields, conversation) => renaming(fields, conversation, true),
}

/** `statvfs@openssh.com`: how full the place of a path is. */
export const statvfs: Operation = {
  name: 'statvfs',
  writes: false,
  begin(fields, conversation) {
    const path = pathIn(fields, conversation)
    const { files } = conversation
    return { at: 'names', paths: [path], changes: false, run: () => whenReady(files.space(path), spaceReply) }
  },
}

/** `fstatvfs@openssh.com`: how full the place of an open file is. */
export const fstatvfs: Operation = {
  name: 'fstatvfs',
  writes: false,
  begin(fields, conversation) {
    const opened = openedIn(fields, conversation)
    const { files } = conversation
    return {
      at: 'handle',
      opened,
      changes: false,
      run: () => whenReady(files.space(opened.path), spaceReply),
    }
  },
}

/** `fsync@openssh.com`: OK once the bytes are on the disk. */
export const fsync: Operation = {
  name: 'fsync',
  writes: true,
  begin(fields, { handles, tag }) {
    const opened = handles.get(fields.handle(tag))
    // As OpenSSH answers for a directory; a handle that is not open gets the same.
    if (opened?.kind !== 'file') throw new FileError('not-found', 'Cannot sync what is not an open file')
    return {
      at: 'handle',
      opened,
      changes: false,
      run: () => whenReady(opened.transfer.sync(), done),
    }
  },
}

/** `lsetstat@openssh.com`: SETSTAT that does not follow a link. A link has no size to change. */
export const lsetstat: Operation = {
  name: 'lsetstat',
  writes: true,
  begin(fields, conversation) {
    const path = pathIn(fields, conversation)
    const change = readAttributes(fields)
    if (change.size !== undefined) throw new FileError('bad-message', 'Cannot change the size of a link')
    if (Object.keys(change).length === 0) return { at: 'once', run: () => okReply }
    return {
      at: 'names',
      paths: [path],
      changes: true,
      run: () => whenReady(conversation.files.change(path, change, { follow: false }), done),
    }
  },
}

/** `limits@openssh.com`: packet, READ, WRITE, handles. */
export const limits: Operation = {
  name: 'limits',
  writes: false,
  begin: (_fields, { mostHandles }) => ({
    at: 'once',
    run: () => ({ is: 'extended', body: numbers([maxPacketBytes, maxDataBytes, maxDataBytes, mostHandles]) }),
  }),
}

/** `expand-path@openssh.com`: `~` and `~name` in front of a path, then REALPATH. */
export const expandPath: Operation = {
  name: 'expand-path',
  writes: false,
  begin(fields, conversation) {
    const path = expanded(fields.string(), conversation)
    const { files } = conversation
    return {
      at: 'names',
      paths: [path],
      changes: false,
      run: () => whenReady(files.resolve(path), (resolved) => ({ is: 'path', path: resolved })),
    }
  },
}

/** `home-directory`: one's own, and those of others only where the host tells. */
export const homeDirectory: Operation = {
  name: 'home-directory',
  writes: false,
  begin(fields, conversation) {
    const home = homeOf(fields.string(), conversation)
    return { at: 'once', run: () => ({ is: 'path', path: home }) }
  },
}

/** `copy-data`: copies between two open files without the bytes crossing the network. Length 0: to the end. */
export const copyDataOperation: Operation = {
  name: 'copy-data',
  writes: true,
  begin(fields, conversation) {
    const from = fileIn(fields, conversation)
    const fromPosition = fields.u64()
    const length = fields.u64()
    const into = fileIn(fields, conversation)
    const intoPosition = fields.u64()
    if (from === into) throw new FileError('bad-handle', 'Cannot copy a file onto itself')
    if (!from.reads || !into.writes) throw new FileError('bad-handle', 'Cannot do this with the open file')
    return {
      at: 'two-handles',
      from,
      into,
      run: () =>
        copyData({
          from: from.transfer,
          into: into.transfer,
          fromPosition,
          intoPosition,
          length: length === 0 ? undefined : length,
          givenUp: () => conversation.over,
        }).then(done),
    }
  },
}

/** `users-groups-by-id@openssh.com`: names of ids; an empty string for those that have none here. */
export const usersGroupsById: Operation = {
  name: 'users-groups-by-id',
  writes: false,
  begin(fields, { people }) {
    const users = namesOf(fields.view(), (id) => people.userName(id))
    const groups = namesOf(fields.view(), (id) => people.groupName(id))
    const body = Buffer.concat([stringBytes(users), stringBytes(groups)])
    if (body.length > maxDataBytes) throw new FileError('too-large', 'Cannot answer for so many ids at once')
    return { at: 'once', run: () => ({ is: 'extended', body }) }
  },
}

/** `vendor-id`: the client says who it is; nothing depends on it. */
export const vendorId: Operation = {
  name: 'vendor-id',
  writes: false,
  begin: () => ({ at: 'once', run: () => okReply }),
}

function spaceReply(space: SpaceInfo): Reply {
  const flags = (space.readOnly ? 1 : 0) | noSetuidFlag
  return {
    is: 'extended',
    body: numbers([
      ...[space.blockSize, space.fragmentSize, space.blocks, space.freeBlocks, space.availableBlocks],
      ...[space.files, space.freeFiles, space.availableFiles, space.id, flags, space.maxNameBytes],
    ]),
  }
}

const noSetuidFlag = 2

function numbers(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length)
  for (const [index, value] of values.entries()) {
    bytes.writeBigUInt64BE(BigInt(Math.max(0, Math.floor(value))), 8 * index)
  }
  return bytes
}

function namesOf(ids: Buffer, nameOf: (id: number) => string): Buffer {
  if (ids.length % 4 !== 0) throw new FileError('bad-message', 'Cannot read a list of ids that ends early')
  const names: Buffer[] = []
  for (let at = 0; at < ids.length; at += 4) names.push(stringBytes(nameOf(ids.readUInt32BE(at))))
  return Buffer.concat(names)
}

function expanded(raw: string, conversation: Conversation): VirtualPath {
  const { files } = conversation
  if (!raw.startsWith('~')) return virtualPath(raw, files.startDirectory)
  const slash = raw.indexOf('/')
  const name = slash < 0 ? raw.slice(1) : raw.slice(1, slash)
  // As OpenSSH: one's own `~` is where one starts, which `-d` of sftp-server may move away from the home.
  const home = name === '' ? files.startDirectory : homeOf(name, conversation)
  return slash < 0 ? home : virtualPath(childOf(home, raw.slice(slash + 1)))
}

/** The same answer for everybody whom the client may not ask about, whether they exist or not. */
function homeOf(name: string, { people, files }: Conversation): VirtualPath {
  const home = people.homeOf(name) ?? (name === '' ? files.startDirectory : undefined)
  if (home === undefined) throw new FileError('not-found', 'Cannot tell the home of this user')
  return home
}
