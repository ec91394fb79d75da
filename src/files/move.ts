import { FileError } from '../base/errors.ts'
import type { FileAttributes } from '../base/file.ts'
import { whenReady, type Soon } from '../base/soon.ts'
import { isWithin, parentOf, virtualPath, type VirtualPath } from '../base/virtual-path.ts'
import { denied, missing, type Access } from './access.ts'
import { carry } from './carry.ts'
import type { Desk } from './desk.ts'
import { realPathOf, seenFrom, type Place } from './mounts.ts'
import { namesOnDisk } from './names-on-disk.ts'
import type { OwnUploads } from './own-uploads.ts'
import { walk } from './walk.ts'

/** Everything a rename needs. */
export interface MoveContext {
  readonly desk: Desk
  readonly access: Access
  readonly own: OwnUploads
}

/** Gives a file or directory another name; uploads under way go with it. */
export function move(
  context: MoveContext,
  from: VirtualPath,
  to: VirtualPath,
  { replace }: { readonly replace: boolean },
): Soon<void> {
  const { desk, access, own } = context
  refuseMounts(desk, from)
  refuseMounts(desk, to)
  const source = access.toSee(from)
  const target = access.toSee(to)
  if (desk.names.verdictOn(from) !== 'allowed' || desk.names.verdictOn(to) !== 'allowed') throw denied()
  if (source.mount !== target.mount && !areOneResource(source, target)) throw denied()
  const upload = own.at(from)
  if (!replace && from !== to) own.refuseTaken(to)
  const replaced = from === to ? undefined : own.at(to)
  return whenReady(source.mount.backend.find(source.inside), (moved) => {
    if (moved === undefined && upload === undefined) throw missing()
    requireRights(desk, from, to, moved?.kind ?? 'file')
    return whenReady(target.mount.backend.find(target.inside), (old) => {
      if (old !== undefined && !replace)
        throw new FileError('already-exists', 'Cannot rename onto a name in use')
      if (old !== undefined) access.require('overwrite', parentOf(to))
      // What has no name yet is a file, and would find out only at its end.
      if (moved === undefined && old?.kind === 'directory')
        throw new FileError('is-a-directory', 'Cannot rename a file onto a directory')
      const job: Move = { source, target, moved, old, replace }
      return whenReady(mayMoveTree(desk, job), () =>
        whenReady(moved === undefined ? undefined : rename(desk, job, moved), () => {
          replaced?.drop()
          // An upload under way is told its new name last: it replaces whatever has that name when it is complete.
          if (upload === undefined) return
          upload.hidden?.retarget(target.inside)
          upload.place = target
          // No name changed on the disk yet, but the client hears that it did.
          return moved === undefined
            ? desk.happenings.record({ action: 'rename', place: source, target })
            : undefined
        }),
      )
    })
  })
}

interface Move {
  readonly source: Place
  readonly target: Place
  /** Undefined when only an upload under way has the old name. */
  readonly moved: FileAttributes | undefined
  readonly old: FileAttributes | undefined
  readonly replace: boolean
}

function rename(desk: Desk, job: Move, moved: FileAttributes): Soon<void> {
  const { source, target, replace } = job
  return desk.happenings.around(
    { action: 'rename', place: source, target },
    () =>
      source.mount.realRoot === ''
        ? { of: 'unknown' }
        : {
            ...{ of: 'rename', from: realPathOf(source), to: realPathOf(target) },
            ...{ inode: moved.inode, toWasFree: job.old === undefined },
          },
    () => {
      if (source.mount !== target.mount) return carry(desk, source, target, moved)
      return whenReady(source.mount.backend.rename(source.inside, target.inside, { replace }), () => {
        countReplaced(job)
        if (moved.kind === 'directory') desk.active.moved(source.mount.realRoot, source.inside, target.inside)
        return namesOnDisk(desk, source.mount, source.inside, target.inside)
      })
    },
  )
}

/** Two names of one file: nothing went away. */
function countReplaced({ target, moved, old }: Move): void {
  if (old?.kind !== 'file' || !target.mount.quota.counts) return
  if (old.inode !== 0 && old.inode === moved?.inode && old.device === moved.device) return
  target.mount.quota.count({ size: -old.size, files: -1 })
}

/** Home and folders on this machine's disks are one resource, as in SFTPGo. */
function areOneResource(source: Place, target: Place): boolean {
  const local = (place: Place): boolean => place.mount.provider === 0 && place.mount.realRoot !== ''
  return local(source) && local(target)
}

function refuseMounts({ mounts }: Desk, path: VirtualPath): void {
  if (path === '/' || mounts.isMountPoint(path)) throw denied()
  if (mounts.hasMountsBelow(path)) {
    throw new FileError('unsupported', 'Cannot rename a directory that holds a mounted folder')
  }
}

function requireRights({ permissions }: Desk, from: VirtualPath, to: VirtualPath, kind: string): void {
  const right = kind === 'directory' ? 'rename_dirs' : 'rename_files'
  if (!permissions.allows(right, parentOf(from)) || !permissions.allows(right, parentOf(to))) throw denied()
}

/** Without all renaming rights everywhere inside, each entry is held against the rules, as SFTPGo does. */
function mayMoveTree(desk: Desk, { source, target, moved }: Move): Soon<void> {
  if (moved?.kind !== 'directory') return undefined
  const { permissions, names } = desk
  const [from, to] = [source.path, target.path]
  const whole = permissions.allows('rename', parentOf(from)) && permissions.allows('rename', parentOf(to))
  const same = !permissions.differBelow(from) && !permissions.differBelow(to) && names.empty
  return whole && same ? undefined : mayMoveEach(desk, source, target)
}

async function mayMoveEach(desk: Desk, source: Place, target: Place): Promise<void> {
  for await (const { path, entry } of walk(source.mount.backend, source.inside)) {
    const from = seenFrom(source.mount, path)
    const to = virtualPath(target.path + from.slice(source.path.length))
    if (!isWithin(from, source.path)) throw denied()
    requireRights(desk, from, to, entry.attributes.kind)
    if (desk.names.verdictOn(from) !== 'allowed' || desk.names.verdictOn(to) !== 'allowed') throw denied()
  }
}
