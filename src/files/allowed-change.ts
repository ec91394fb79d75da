import { FileError } from '../base/errors.ts'
import type { AttributeChange } from '../base/file.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { Desk } from './desk.ts'

/** What remains of a change under the operator's policy; throws when the person may not make it in `directory`. */
export function allowedChange(
  { policy, permissions }: Desk,
  directory: VirtualPath,
  { size, mode, owner, times }: AttributeChange,
): AttributeChange {
  const sized = size === undefined ? {} : { size }
  if (policy.setstatMode === 1) return sized
  const may = (right: 'chmod' | 'chown' | 'chtimes'): boolean => permissions.allows(right, directory)
  if (mode !== undefined && !may('chmod')) throw denied()
  if (times !== undefined && !may('chtimes')) throw denied()
  if (owner !== undefined && !(policy.changeOwner && may('chown'))) throw denied()
  return {
    ...sized,
    ...(mode === undefined ? {} : { mode: mode & policy.modeMask }),
    ...(times === undefined ? {} : { times }),
    ...(owner === undefined ? {} : { owner }),
  }
}

/** Whether nothing is left to change. */
export function isEmptyChange(change: AttributeChange): boolean {
  return Object.keys(change).length === 0
}

function denied(): FileError {
  return new FileError('permission-denied', 'Cannot change these attributes: no permission')
}
