import { FileError } from '../base/errors.ts'
import { isWithin, parentOf, virtualPath, type VirtualPath } from '../base/virtual-path.ts'
import type { Place } from './mounts.ts'

/** The virtual path that a link at `link` with this target leads to; refused when it climbs above the root. */
export function pathOfTarget(link: VirtualPath, target: string): VirtualPath {
  if (climbsOut(parentOf(link), target)) {
    throw new FileError('permission-denied', 'Cannot make a link that leads outside')
  }
  return virtualPath(target, parentOf(link))
}

/** What is stored for a target: an absolute one counts from the root of the place that holds the link. */
export function storedTarget(target: string, { mount }: Place, leadsTo: VirtualPath): string {
  if (!target.startsWith('/') || mount.at === '/') return target
  return leadsTo === mount.at ? '/' : leadsTo.slice(mount.at.length)
}

/** A stored target as the person sees it; real paths of this machine stay unsaid. */
export function shownTarget(stored: string, { mount, path }: Place): string {
  if (!stored.startsWith('/'))
    return climbsOut(parentOf(path), stored) ? virtualPath(stored, parentOf(path)) : stored
  const { realRoot, at } = mount
  const below = realRoot !== '' && realRoot !== '/' ? withoutRoot(stored, realRoot) : undefined
  const seen = below ?? stored
  return at === '/' ? seen : virtualPath(at + seen)
}

function withoutRoot(stored: string, realRoot: string): string | undefined {
  // Both are absolute paths of the machine; only their beginnings are compared.
  if (!isWithin(stored as VirtualPath, realRoot as VirtualPath)) return undefined
  return stored.slice(realRoot.length) || '/'
}

function climbsOut(directory: VirtualPath, target: string): boolean {
  let depth = target.startsWith('/') || directory === '/' ? 0 : directory.split('/').length - 1
  for (const part of target.split('/')) {
    if (part === '..') depth -= 1
    else if (part !== '' && part !== '.') depth += 1
    if (depth < 0) return true
  }
  return false
}
