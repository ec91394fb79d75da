import { constants, existsSync, fstatSync, lstatSync } from 'node:fs'
import { FileError } from '../base/errors.ts'
import { mostLinks } from '../base/resolve-links.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { bytesOf, type VirtualPath } from '../base/virtual-path.ts'
import { errnoOf, errnos } from '../native/errno.ts'
import type { PathCalls, SystemPath } from './path-calls.ts'

/** A directory that is held open, and the path it had when it was opened. */
export interface HeldDirectory {
  readonly fd: number
  readonly path: string
}

/** Where a walk ended: a name in a directory that is held open. The name is `.` where a link led to the directory itself. */
export interface WalkEnd {
  readonly directory: HeldDirectory
  readonly name: string
}

/** How directories are held: `O_PATH` needs no right to read them, only to pass. */
const heldFlags =
  constants.O_DIRECTORY | constants.O_NOFOLLOW | (process.platform === 'linux' ? 0o10000000 : 0)

/**
 * Whether a held directory has a path of its own that no rename changes. Linux has one where /proc is mounted;
 * elsewhere the path it had is compared with the descriptor before each use, which leaves a moment between.
 */
export const holdsByDescriptor = process.platform === 'linux' && existsSync('/proc/self/fd')

/** The path of a name in a held directory: for the one call that follows, and not to be kept. */
export function pathIn(directory: HeldDirectory, name: string): SystemPath {
  if (holdsByDescriptor) return systemPath(`/proc/self/fd/${directory.fd}/${name}`)
  const held = fstatSync(directory.fd)
  const here = lstatSync(bytesOf(directory.path))
  if (held.ino !== here.ino || held.dev !== here.dev) throw raced
  return systemPath(`${directory.path}/${name}`)
}

/** Thrown when others changed the path under our feet; what was begun is begun again. */
export const raced = new FileError('busy', 'Cannot go on: others keep changing the path')

/** Walks as the kernel does below a root, one held directory after the other. */
export interface Walker {
  /** Runs `act` at the end of `path`; with `follow` a link there is followed. Held directories are let go after it. */
  at<T>(path: VirtualPath, follow: boolean, act: (end: WalkEnd) => Soon<T>): Soon<T>
}

/** Creates a walker below `root`, which it does not close. */
export function createWalker(calls: PathCalls, root: HeldDirectory, close: (fd: number) => void): Walker {
  return {
    at(path, follow, act) {
      const held: HeldDirectory[] = [root]
      const left = path.split('/').filter((part) => part !== '')
      return letGoAfter(held, () => whenReady(step({ held, left, links: 0, follow }), act))
    },
  }

  function letGoAfter<T>(held: HeldDirectory[], action: () => Soon<T>): Soon<T> {
    const letGo = (): void => {
      for (const directory of held.splice(1)) close(directory.fd)
    }
    const result = recovering(action, (error) => {
      letGo()
      throw error
    })
    return whenReady(result, (value) => {
      letGo()
      return value
    })
  }

  function step(way: Way): Soon<WalkEnd> {
    const { held, left, follow } = way
    const directory = held.at(-1) ?? root
    const name = left.shift()
    if (name === undefined) return { directory, name: '.' }
    if (name === '..') {
      if (held.length > 1) close((held.pop() ?? root).fd)
      return step(way)
    }
    if (left.length > 0) return enter(way, directory, name)
    if (!follow) return { directory, name }
    return whenReady(targetOf(directory, name), (target) =>
      target === undefined ? { directory, name } : step(followed(way, target)),
    )
  }

  /** Goes into `name`; what is no directory is a link to follow, or the end. */
  function enter(way: Way, directory: HeldDirectory, name: string): Soon<WalkEnd> {
    const entered = recovering<number | undefined>(
      () => calls.open(pathIn(directory, name), heldFlags, 0),
      (error) => {
        const errno = errnoOf(error)
        if (errno === errnos.ENOTDIR || errno === errnos.ELOOP) return undefined
        throw error
      },
    )
    return whenReady(entered, (fd) => {
      if (fd !== undefined) {
        way.held.push({ fd, path: `${directory.path}/${name}` })
        return step(way)
      }
      return whenReady(targetOf(directory, name), (target) => {
        if (target === undefined)
          throw new FileError('not-a-directory', 'Cannot pass through what is no directory')
        return step(followed(way, target))
      })
    })
  }

  /** What the link holds; undefined for what is none, or nothing at all. */
  function targetOf(directory: HeldDirectory, name: string): Soon<string | undefined> {
    return recovering<string | undefined>(
      () => calls.readLink(pathIn(directory, name)),
      (error) => {
        const errno = errnoOf(error)
        if (errno === errnos.EINVAL || errno === errnos.ENOENT) return undefined
        throw error
      },
    )
  }

  function followed(way: Way, target: string): Way {
    if (way.links >= mostLinks) throw new FileError('too-many-links', 'Cannot follow so many links')
    // An absolute target starts at our root, as in a chroot.
    if (target.startsWith('/')) for (const directory of way.held.splice(1)) close(directory.fd)
    const names = target.split('/').filter((part) => part !== '' && part !== '.')
    return { ...way, left: [...names, ...way.left], links: way.links + 1 }
  }
}

interface Way {
  readonly held: HeldDirectory[]
  readonly left: string[]
  readonly links: number
  readonly follow: boolean
}

function systemPath(path: string): SystemPath {
  return /[\x80-\xff]/.test(path) ? bytesOf(path) : path
}
