import { FileError } from './errors.ts'
import { whenReady, type Soon } from './soon.ts'
import { childOf, parentOf, virtualPath, type VirtualPath } from './virtual-path.ts'

/** What stands at a path whose parents hold no links. */
export type Step = { readonly at: 'link'; readonly target: string } | { readonly at: 'other' | 'nothing' }

/** The kernel's own limit of links on one way. */
export const mostLinks = 40

/**
 * The path with every link on the way replaced by what it holds, seen from the root: an absolute target
 * starts at the root, `..` stays inside. The last component may be missing, none before it.
 */
export function resolveLinks(path: VirtualPath, look: (path: VirtualPath) => Soon<Step>): Soon<VirtualPath> {
  return walk({ done: virtualPath('/'), left: componentsOf(path), links: 0 }, look)
}

interface Way {
  readonly done: VirtualPath
  readonly left: readonly string[]
  readonly links: number
}

function walk(way: Way, look: (path: VirtualPath) => Soon<Step>): Soon<VirtualPath> {
  const [name, ...left] = way.left
  if (name === undefined) return way.done
  if (name === '..') return walk({ ...way, done: parentOf(way.done), left }, look)
  const here = childOf(way.done, name)
  return whenReady(look(here), (step) => {
    if (step.at === 'link') return walk(followed(way, step.target, left), look)
    if (step.at === 'other') return walk({ ...way, done: here, left }, look)
    if (left.length === 0) return here
    throw new FileError('not-found', 'Cannot resolve a path whose parent is missing')
  })
}

function followed(way: Way, target: string, left: readonly string[]): Way {
  if (way.links >= mostLinks) throw new FileError('too-many-links', 'Cannot resolve a path of too many links')
  if (target === '') throw new FileError('not-found', 'Cannot follow an empty link')
  return {
    done: target.startsWith('/') ? virtualPath('/') : way.done,
    left: [...componentsOf(target), ...left],
    links: way.links + 1,
  }
}

/** The names of a path or of a link's target; `..` stays, because what it means depends on links before it. */
function componentsOf(path: string): readonly string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}
