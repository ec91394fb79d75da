import { FileError } from '../base/errors.ts'
import type { DirectoryEntry, FileAttributes } from '../base/file.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { childOf, rootPath, type VirtualPath } from '../base/virtual-path.ts'
import type { Listing } from '../storage/backend.ts'
import type { Access } from './access.ts'
import type { Desk } from './desk.ts'
import { madeUpDirectory } from './mounts.ts'
import { isPartName } from './part-names.ts'
import type { UserListing } from './user-files.ts'

/** Opens a directory: what the place has, and what is mounted there, without what the person may not see. */
export function listDirectory(desk: Desk, access: Access, path: VirtualPath): Soon<UserListing> {
  const { mounts, permissions } = desk
  const place = access.toSee(path)
  if (!permissions.allows('list', path))
    throw new FileError('permission-denied', 'Cannot list this directory')
  const mounted = mounts.namesIn(path)
  const opened = recovering<Listing>(
    () => place.mount.backend.list(place.inside),
    (error) => {
      if (mounted.size === 0 || !(error instanceof FileError) || error.code !== 'not-found') throw error
      return emptyListing
    },
  )
  return whenReady(opened, (listing) => filtered(desk, path, listing, mounted))
}

const emptyListing: Listing = { next: () => [], close() {} }

function filtered(
  desk: Desk,
  path: VirtualPath,
  listing: Listing,
  mounted: ReadonlySet<string>,
): UserListing {
  let mountsShown = mounted.size === 0
  const seen = ({ name }: DirectoryEntry): boolean =>
    !isPartName(name) &&
    !mounted.has(name) &&
    (desk.names.empty || desk.names.verdictOn(childOf(path, name)) !== 'hidden')
  const next = (most: number): Soon<readonly DirectoryEntry[]> => {
    if (!mountsShown) {
      mountsShown = true
      return mountEntries(desk, path, mounted)
    }
    return whenReady(listing.next(most), (entries) => {
      if (entries.length === 0) return entries
      const left = entries.every(seen) ? entries : entries.filter(seen)
      // An empty answer would be the end.
      return left.length > 0 ? left : next(most)
    })
  }
  return { next, close: () => listing.close() }
}

/** Mount points with the attributes of what is mounted. */
async function mountEntries(
  desk: Desk,
  path: VirtualPath,
  names: ReadonlySet<string>,
): Promise<readonly DirectoryEntry[]> {
  return Promise.all(
    [...names].map(async (name) => ({
      name,
      attributes: await mountedAttributes(desk, childOf(path, name)),
    })),
  )
}

/** Attributes of a mount point, or of a directory that only leads to one. */
export async function mountedAttributes({ mounts }: Desk, path: VirtualPath): Promise<FileAttributes> {
  const { mount, inside } = mounts.placeOf(path)
  try {
    return await mount.backend.attributes(mount.at === path ? rootPath : inside, { follow: true })
  } catch {
    return madeUpDirectory()
  }
}
