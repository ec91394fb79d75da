import { FileError } from '../base/errors.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { childOf, type VirtualPath } from '../base/virtual-path.ts'
import type { Access } from './access.ts'
import type { Desk } from './desk.ts'
import { realPathOf, type Place } from './mounts.ts'
import { namesOnDisk } from './names-on-disk.ts'
import { hasPartName } from './part-names.ts'
import type { OwnUploads } from './own-uploads.ts'

/** Makes a directory, the user's where they have an id. */
export function makeDirectory(desk: Desk, access: Access, path: VirtualPath, asked: number): Soon<void> {
  const { policy, user } = desk
  if (desk.mounts.isMountPoint(path)) throw new FileError('already-exists', 'Cannot make what is mounted')
  const place = access.toMake(path, 'create_dirs')
  const { backend } = place.mount
  const mode = asked & policy.modeMask & ~policy.umask
  return desk.happenings.around(
    { action: 'mkdir', place },
    () => checkOn(place, { of: 'make-directory', path: realPathOf(place) }),
    () =>
      whenReady(backend.makeDirectory(place.inside, mode), () => {
        if (user.uid <= 0 && user.gid <= 0) return namesOnDisk(desk, place.mount, place.inside)
        const owner = { uid: user.uid, gid: user.gid }
        const owned = recovering<void>(
          () => backend.change(place.inside, { owner }, { follow: false }),
          () => desk.log.debug('owner of a directory not set', owner),
        )
        return whenReady(owned, () => namesOnDisk(desk, place.mount, place.inside))
      }),
  )
}

/** Removes an empty directory that nothing is mounted on or below. */
export function removeDirectory(desk: Desk, access: Access, path: VirtualPath): Soon<void> {
  const { mounts } = desk
  if (path === '/' || mounts.isMountPoint(path) || mounts.hasMountsBelow(path)) {
    throw new FileError('permission-denied', 'Cannot remove a directory that holds a mounted folder')
  }
  const place = access.toUse(path, 'delete_dirs')
  return desk.happenings.around(
    { action: 'rmdir', place },
    () => checkOn(place, { of: 'remove', path: realPathOf(place) }),
    () =>
      whenReady(
        recovering<void>(
          () => place.mount.backend.removeDirectory(place.inside),
          (error) => {
            if (!(error instanceof FileError) || error.code !== 'directory-not-empty') throw error
            return removeWithLeftovers(desk, place, error)
          },
        ),
        () => namesOnDisk(desk, place.mount, place.inside),
      ),
  )
}

/** A directory that looks empty to the client may hold parts of uploads that nobody knows any more. */
async function removeWithLeftovers(desk: Desk, { mount, inside }: Place, error: FileError): Promise<void> {
  const listing = await mount.backend.list(inside)
  const entries = await listing.next(100)
  await listing.close()
  const parts = entries.map(({ name }) => childOf(inside, name))
  const leftOver = (part: VirtualPath): boolean =>
    hasPartName(part) && !desk.active.lives(mount.realRoot, part)
  if (entries.length === 0 || !parts.every(leftOver)) throw error
  for (const part of parts) await mount.backend.remove(part)
  return mount.backend.removeDirectory(inside)
}

/** Removes a file or a link; an upload under way with this name will not appear. */
export function removeFile(desk: Desk, access: Access, own: OwnUploads, path: VirtualPath): Soon<void> {
  const { happenings } = desk
  const place = access.toUse(path, 'delete_files')
  const { backend, quota } = place.mount
  const upload = own.at(path)
  const told = happenings.wants('delete') || happenings.wants('pre-delete')
  const onDisk = (): Soon<void> => namesOnDisk(desk, place.mount, place.inside)
  if (upload === undefined && !told && !quota.counts) return whenReady(backend.remove(place.inside), onDisk)
  return whenReady(backend.find(place.inside), (before) => {
    if (before === undefined && upload === undefined)
      throw new FileError('not-found', 'Cannot find this name')
    const size = before === undefined ? (upload?.size ?? 0) : before.kind === 'file' ? before.size : 0
    return whenReady(happenings.ask({ action: 'pre-delete', place, size }), () => {
      upload?.drop()
      if (before === undefined) return happenings.record({ action: 'delete', place, size })
      return happenings.around(
        { action: 'delete', place, size },
        () => checkOn(place, { of: 'remove', path: realPathOf(place) }),
        () =>
          whenReady(backend.remove(place.inside), () => {
            // Another name still holds the bytes.
            if (before.kind === 'file' && before.links <= 1) quota.count({ size: -size, files: -1 })
            return onDisk()
          }),
      )
    })
  })
}

function checkOn<T>({ mount }: Place, check: T): T | { readonly of: 'unknown' } {
  return mount.realRoot === '' ? { of: 'unknown' } : check
}
