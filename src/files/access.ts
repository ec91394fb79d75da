import { FileError } from '../base/errors.ts'
import { nameOf, parentOf, type VirtualPath } from '../base/virtual-path.ts'
import type { Permission } from '../accounts/user.ts'
import type { Desk } from './desk.ts'
import type { Place } from './mounts.ts'
import { hasPartName } from './part-names.ts'

/** The one gate: says where a path lies, or why the person may not go there. Everything else uses the place it gives. */
export interface Access {
  /** The place of a path that may be looked at; `not-found` for what is hidden. */
  toSee(path: VirtualPath, right?: Permission): Place
  /** The place of a path that may be used with `right` in its directory. */
  toUse(path: VirtualPath, right: Permission): Place
  /** The place of a name that is to appear. */
  toMake(path: VirtualPath, right: Permission): Place
  require(right: Permission, directory: VirtualPath): void
}

/** Creates the gate of one person. */
export function createAccess({
  mounts,
  permissions,
  names,
}: Pick<Desk, 'mounts' | 'permissions' | 'names'>): Access {
  const require = (right: Permission, directory: VirtualPath): void => {
    if (!permissions.allows(right, directory)) throw denied()
  }
  return {
    require,
    toSee(path, right) {
      if (isHidden(path)) throw missing()
      if (right !== undefined) require(right, parentOf(path))
      return mounts.placeOf(path)
    },
    toUse(path, right) {
      if (isHidden(path)) throw missing()
      require(right, parentOf(path))
      if (names.verdictOn(path) === 'refused') throw denied()
      return mounts.placeOf(path)
    },
    toMake(path, right) {
      require(right, parentOf(path))
      // Checked here too: an upload's hidden name is cut to fit, and the final name would be refused only at its end.
      if (nameOf(path).length > 255)
        throw new FileError('name-too-long', 'Cannot use a name of over 255 bytes')
      if (hasPartName(path) || names.verdictOn(path) !== 'allowed') throw denied()
      return mounts.placeOf(path)
    },
  }

  function isHidden(path: VirtualPath): boolean {
    return hasPartName(path) || (!names.empty && names.verdictOn(path) === 'hidden')
  }
}

/** The person may not. */
export function denied(): FileError {
  return new FileError('permission-denied', 'Cannot do this here: no permission')
}

/** There is no such thing, or none that the person may know of. */
export function missing(): FileError {
  return new FileError('not-found', 'Cannot find this name')
}
