import { FileError } from '../base/errors.ts'
import type { AttributeChange, FileAttributes, SpaceInfo } from '../base/file.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { parentOf, type VirtualPath } from '../base/virtual-path.ts'
import type { Access } from './access.ts'
import { allowedChange, isEmptyChange } from './allowed-change.ts'
import type { Desk } from './desk.ts'
import { mountedAttributes } from './list-directory.ts'
import { seenFrom } from './mounts.ts'
import type { OwnUploads } from './own-uploads.ts'

/** Attributes of a name; those of an upload of one's own that has not got its name yet. */
export function attributesOf(
  desk: Desk,
  access: Access,
  own: OwnUploads,
  path: VirtualPath,
  follow: boolean,
): Soon<FileAttributes> {
  const { mount, inside } = access.toSee(path, 'list')
  const upload = own.at(path)
  if (upload !== undefined) return upload.attributes()
  const leads = desk.mounts.isMountPoint(path) || desk.mounts.hasMountsBelow(path)
  if (!leads) return mount.backend.attributes(inside, { follow })
  return recovering<FileAttributes>(
    () => mount.backend.attributes(inside, { follow }),
    () => mountedAttributes(desk, path),
  )
}

/** Changes attributes as far as the person and the policy allow; a new size counts in the quota. */
export function changeAttributes(
  desk: Desk,
  access: Access,
  own: OwnUploads,
  path: VirtualPath,
  asked: AttributeChange,
  follow: boolean,
): Soon<void> {
  const upload = own.at(path)
  if (upload !== undefined) return upload.change(asked)
  const place = asked.size === undefined ? access.toUse(path, 'list') : access.toUse(path, 'overwrite')
  const change = allowedChange(desk, parentOf(path), asked)
  if (isEmptyChange(change)) return undefined
  const { backend, quota } = place.mount
  const { size } = change
  if (size === undefined || !quota.counts) return backend.change(place.inside, change, { follow })
  return whenReady(backend.attributes(place.inside, { follow: true }), (before) => {
    const more = size - before.size
    if (more > 0) quota.take({ size: more, files: 0 })
    return recovering<void>(
      () =>
        whenReady(backend.change(place.inside, change, { follow }), () => {
          if (more < 0) quota.count({ size: more, files: 0 })
        }),
      (error) => {
        if (more > 0) quota.count({ size: -more, files: 0 })
        throw error
      },
    )
  })
}

/** The path with its links resolved, as the person sees it. */
export function resolvePath(desk: Desk, access: Access, path: VirtualPath): Soon<VirtualPath> {
  const { mount, inside } = access.toSee(path)
  // Who may not list hears nothing about the disk.
  if (!desk.permissions.allows('list', parentOf(path))) return path
  if (desk.mounts.isMountPoint(path) || desk.mounts.hasMountsBelow(path)) return path
  return whenReady(mount.backend.resolve(inside), (resolved) => seenFrom(mount, resolved))
}

/** How full a place is, or the quota where that is narrower. */
export function spaceOf(access: Access, own: OwnUploads, path: VirtualPath): Soon<SpaceInfo> {
  const { mount, inside: named } = access.toSee(path, 'list')
  // An upload under way has no name yet, but a place.
  const inside = own.at(path)?.hidden?.part ?? named
  if (mount.backend.space === undefined)
    throw new FileError('unsupported', 'Cannot tell how full this place is')
  return whenReady(mount.backend.space(inside), (space) => mount.quota.narrow(space))
}
