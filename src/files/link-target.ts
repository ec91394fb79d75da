import { FileError } from '../base/errors.ts'
import { isWithin, parentOf, virtualPath, type VirtualPath } from '../base/virtual-path.ts'
import type { Mount, Place } from './mounts.ts'

/** The virtual path that a link at `link` with this target leads to; refused when it climbs above the root. */
export function pathOfTarget(link: VirtualPath, target: string): VirtualPath {
  if (climbsOut(parentOf(link), target)) {
    throw new FileError('permission-denied', 'Cannot make a link that leads outside')
  }
  return virtualPath(target, parentOf(link))
}

/**
 * How a client's own absolute target begins on the disk: `/./a` leads where `/a` does. An absolute target without it is
 * somebody else's, who may have meant a path of this machine.
 */
const ownMark = '/.'

/** What is stored for a target: an absolute one counts from the root of the place that holds the link. */
export function storedTarget(target: string, { mount }: Place, leadsTo: VirtualPath): string {
  if (!target.startsWith('/')) return target
  if (mount.at === '/') return ownMark + target
  return ownMark + (leadsTo === mount.at ? '/' : leadsTo.slice(mount.at.length))
}

/** A stored target as it may be said; `outside` where it means something that may lie outside, which no one is told of. */
export type SaidTarget =
  | { readonly is: 'inside'; readonly text: string }
  /** Where it leads in the same place, if that has such a path. */
  | { readonly is: 'outside'; readonly leadsTo: VirtualPath }

/** What may be said of a stored target; real paths of this machine stay unsaid. */
export function saidTarget(stored: string, { mount, inside }: Place): SaidTarget {
  if (!stored.startsWith('/')) {
    const directory = parentOf(inside)
    return climbsOut(directory, stored)
      ? { is: 'outside', leadsTo: virtualPath(stored, directory) }
      : { is: 'inside', text: stored }
  }
  if (stored.startsWith(`${ownMark}/`))
    return { is: 'inside', text: under(mount, stored.slice(ownMark.length)) }
  const leadsTo = virtualPath(stored)
  const below = withoutRoot(leadsTo, mount.realRoot)
  return below === undefined ? { is: 'outside', leadsTo } : { is: 'inside', text: under(mount, below) }
}

/** A target in a place, byte for byte where that is the home. */
function under(mount: Mount, target: string): string {
  return mount.at === '/' ? target : virtualPath(mount.at + target)
}

function withoutRoot(path: string, realRoot: string): string | undefined {
  if (realRoot === '' || realRoot === '/') return undefined
  // Both are absolute paths of the machine; only their beginnings are compared.
  if (!isWithin(path as VirtualPath, realRoot as VirtualPath)) return undefined
  return path.slice(realRoot.length) || '/'
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
