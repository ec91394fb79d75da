import {
  displayName,
  isWithin,
  nameFromText,
  parentOf,
  virtualPath,
  type VirtualPath,
} from '../base/virtual-path.ts'
import { compilePattern, type Pattern } from './patterns.ts'
import type { Permission, User } from './user.ts'

/** What one user may do where. */
export interface Permissions {
  /** Whether `permission` holds in this virtual directory. `delete` and `rename` stand for both of their kinds. */
  allows(permission: Permission, directory: VirtualPath): boolean
  /** Whether other rules than the directory's own apply to something below it. */
  differBelow(directory: VirtualPath): boolean
}

/**
 * Reads a user's permissions. The nearest ancestor that has a rule decides; on one level the exact path goes
 * before a pattern. Of several matching patterns the longest decides (SFTPGo takes one at random).
 */
export function createPermissions(table: User['permissions']): Permissions {
  const exact = new Map<VirtualPath, ReadonlySet<Permission>>()
  const patterns: { readonly matches: Pattern; readonly rights: ReadonlySet<Permission> }[] = []
  for (const [key, list] of longestFirst(table)) {
    const rights = new Set(list)
    const matches = /[*?[\\]/.test(key) ? compilePattern(key) : undefined
    if (matches !== undefined) patterns.push({ matches, rights })
    exact.set(virtualPath(nameFromText(key)), rights)
  }
  const known = new Map<VirtualPath, ReadonlySet<Permission>>()
  return {
    allows(permission, directory) {
      const rights = rightsIn(directory)
      if (rights.has('*') || rights.has(permission)) return true
      const whole = wholeOf[permission]
      if (whole !== undefined) return rights.has(whole)
      const parts = partsOf[permission]
      return parts !== undefined && parts.every((part) => rights.has(part))
    },
    differBelow: (directory) =>
      patterns.length > 0 ||
      [...exact.keys()].some((path) => path !== directory && isWithin(path, directory)),
  }

  function rightsIn(directory: VirtualPath): ReadonlySet<Permission> {
    const before = known.get(directory)
    if (before !== undefined) return before
    if (known.size >= 1024) known.clear()
    const rights = nearest(directory)
    known.set(directory, rights)
    return rights
  }

  function nearest(directory: VirtualPath): ReadonlySet<Permission> {
    for (let level = directory; ; level = parentOf(level)) {
      const found = exact.get(level) ?? patternFor(level)
      if (found !== undefined) return found
      if (level === '/') return none
    }
  }

  function patternFor(level: VirtualPath): ReadonlySet<Permission> | undefined {
    if (patterns.length === 0) return undefined
    const text = displayName(level)
    return patterns.find(({ matches }) => matches(text))?.rights
  }
}

const none: ReadonlySet<Permission> = new Set()

/** The right that includes a narrower one. */
const wholeOf: Partial<Record<Permission, Permission>> = {
  delete_files: 'delete',
  delete_dirs: 'delete',
  rename_files: 'rename',
  rename_dirs: 'rename',
}

/** The narrower rights that together are a right. */
const partsOf: Partial<Record<Permission, readonly Permission[]>> = {
  delete: ['delete_files', 'delete_dirs'],
  rename: ['rename_files', 'rename_dirs'],
}

function longestFirst(table: User['permissions']): [string, readonly Permission[]][] {
  return Object.entries(table).sort(([a], [b]) => b.length - a.length || (a < b ? -1 : 1))
}
