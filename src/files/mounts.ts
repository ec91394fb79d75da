import { FileError } from '../base/errors.ts'
import type { FileAttributes } from '../base/file.ts'
import { isWithin, virtualPath, type VirtualPath } from '../base/virtual-path.ts'
import type { Backend } from '../storage/backend.ts'
import type { Quota } from './quota.ts'

/** A place of bytes and where the person sees it. */
export interface Mount {
  /** `/` for the home. */
  readonly at: VirtualPath
  readonly backend: Backend
  /** The real path of the place's root, one character per byte, for events; empty where there is none. */
  readonly realRoot: string
  /** SFTPGo's number of the kind of place. */
  readonly provider: number
  readonly quota: Quota
}

/** A virtual path, and where it lies. `path` and `inside` are the same path with the mount point cut off: one spelling. */
export interface Place {
  readonly mount: Mount
  readonly path: VirtualPath
  readonly inside: VirtualPath
}

/** The places of one person. */
export interface Mounts {
  readonly all: readonly Mount[]
  placeOf(path: VirtualPath): Place
  /** Whether something is mounted exactly here (the home does not count). */
  isMountPoint(path: VirtualPath): boolean
  /** Whether something is mounted below. */
  hasMountsBelow(path: VirtualPath): boolean
  /** Names of this directory that are mount points or lead to one. */
  namesIn(directory: VirtualPath): ReadonlySet<string>
}

/** Joins a home and folders; two folders at one path, or one at the root, are refused. */
export function createMounts(homeMount: Mount, folderMounts: readonly Mount[]): Mounts {
  const home = withCleanRoot(homeMount)
  const folders = folderMounts.map(withCleanRoot)
  const deepestFirst = folders.toSorted((a, b) => b.at.length - a.at.length)
  if (new Set(['/', ...folders.map(({ at }) => at)]).size !== folders.length + 1) {
    throw new FileError('already-exists', 'Cannot mount two folders at one path')
  }
  return {
    all: [home, ...folders],
    placeOf(path) {
      const mount = deepestFirst.find(({ at }) => isWithin(path, at)) ?? home
      return { mount, path, inside: insideOf(path, mount.at) }
    },
    isMountPoint: (path) => folders.some(({ at }) => at === path),
    hasMountsBelow: (path) => folders.some(({ at }) => at !== path && isWithin(at, path)),
    namesIn(directory) {
      const below = folders.filter(({ at }) => at !== directory && isWithin(at, directory))
      const start = directory === '/' ? 1 : directory.length + 1
      return new Set(below.map(({ at }) => at.slice(start).split('/')[0] ?? ''))
    },
  }
}

/** The real path of a place, one character per byte. */
export function realPathOf({ mount, inside }: Place): string {
  if (mount.realRoot === '') return inside
  if (inside === '/') return mount.realRoot
  return mount.realRoot === '/' ? inside : mount.realRoot + inside
}

/** A backend's path as the person sees it. */
export function seenFrom(mount: Mount, inside: VirtualPath): VirtualPath {
  if (mount.at === '/') return inside
  return inside === '/' ? mount.at : virtualPath(mount.at + inside)
}

/** A directory that exists only because something is mounted below it. */
export function madeUpDirectory(): FileAttributes {
  const now = Math.floor(Date.now() / 1000)
  return {
    ...{ kind: 'directory', mode: 0o755, uid: 0, gid: 0, size: 4096 },
    ...{ accessTime: now, modifyTime: now, links: 2, device: 0, inode: 0 },
  }
}

/** Real paths are compared and joined: no slash at the end. */
function withCleanRoot(mount: Mount): Mount {
  return mount.realRoot === '' ? mount : { ...mount, realRoot: virtualPath(mount.realRoot) }
}

function insideOf(path: VirtualPath, at: VirtualPath): VirtualPath {
  if (at === '/') return path
  // Cutting a canonical path at a mount point leaves a canonical one.
  return (path.length === at.length ? '/' : path.slice(at.length)) as VirtualPath
}
