import * as fs from 'node:fs'
import { FileError } from '../base/errors.ts'
import type { AttributeChange, FileAttributes, OpenIntent, SpaceInfo } from '../base/file.ts'
import { resolveLinks, type Step } from '../base/resolve-links.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { bytesOf, displayName, nameFromText, rootPath, type VirtualPath } from '../base/virtual-path.ts'
import type { EntryStream, OpenDirectory, OpenDirectoryOptions } from '../native/directory-calls.ts'
import { errnoOf, errnos, fileErrorFrom, fileErrorOf } from '../native/errno.ts'
import { kindOfMode } from '../native/file-status.ts'
import { closing, inOrder } from '../native/in-order.ts'
import { missingIsNothing } from './missing-is-nothing.ts'
import { createPathCalls, type SystemPath } from './path-calls.ts'
import { attributesOfStats, createPortableListing } from './portable-listing.ts'
import {
  createWalker,
  holdsByDescriptor,
  pathIn,
  raced,
  type HeldDirectory,
  type WalkEnd,
} from './portable-walk.ts'

const { O_DIRECTORY, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants
const pathOnly = process.platform === 'linux' ? 0o10000000 : 0
const neverWait = O_NONBLOCK | O_NOCTTY
const mostAttempts = 32

/**
 * Opens a directory that nobody leaves, where the kernel does not walk for us.
 *
 * Every component is opened from the one before it without following links, links are followed here, and the
 * last name is used without following it again: what others flip meanwhile fails, and is tried again.
 */
export function openPortableDirectory({ realPath, place }: OpenDirectoryOptions): OpenDirectory {
  const calls = createPathCalls(place)
  const close = (fd: number): void => fs.closeSync(fd)
  const root = openRoot(realPath)
  const walker = createWalker(calls, root, close)

  return {
    open,
    attributes: (path, follow) => saying('look at', path, () => retried(() => attributesAt(path, follow))),
    find: (path) =>
      missingIsNothing(() => saying('look at', path, () => retried(() => attributesAt(path, false)))),
    attributesOf: (fd) => saying('look at', undefined, () => whenReady(calls.fstat(fd), attributesOfStats)),
    change: (path, change, follow) =>
      saying('change', path, () => retried(() => changeAt(path, change, follow))),
    changeOf: (fd, change) =>
      saying('change', undefined, () => applied({ fd }, change, () => calls.setSize(fd, change.size ?? 0))),
    list: (path) => saying('list', path, () => retried(() => listAt(path))),
    openDirectory: (path) => saying('sync', path, () => retried(() => directoryAt(path))),
    makeDirectory: (path, mode) =>
      saying('make', path, () =>
        atName(path, errnos.EEXIST, (end) => calls.makeDirectory(pathIn(end.directory, end.name), mode)),
      ),
    removeDirectory: (path) =>
      saying('remove', path, () =>
        atName(path, errnos.EBUSY, (end) => calls.removeDirectory(pathIn(end.directory, end.name))),
      ),
    remove: (path) =>
      saying('remove', path, () =>
        atName(path, errnos.EISDIR, (end) => calls.unlink(pathIn(end.directory, end.name))),
      ),
    rename: (from, to, replace) =>
      saying('rename', from, () =>
        atName(from, errnos.EBUSY, (old) => atName(to, errnos.EBUSY, (made) => moved(old, made, replace))),
      ),
    resolve: (path) => saying('resolve', path, () => resolveLinks(path, look)),
    readLink: (path) => saying('read the link', path, () => readLink(path)),
    symbolicLink: (target, path) =>
      saying('make the link', path, () =>
        atName(path, errnos.EEXIST, (end) =>
          calls.symlink(targetBytes(target), pathIn(end.directory, end.name)),
        ),
      ),
    hardLink: (existing, path) =>
      saying('make the link', path, () =>
        atName(existing, errnos.EPERM, (old) =>
          atName(path, errnos.EEXIST, (made) =>
            calls.link(pathIn(old.directory, old.name), pathIn(made.directory, made.name)),
          ),
        ),
      ),
    space: (path) => saying('measure', path, () => retried(() => spaceAt(path))),
    close: () => close(root.fd),
  }

  function open(path: VirtualPath, intent: OpenIntent): Soon<number> {
    const follow = !(intent.create && intent.exclusive)
    const flags = flagsOf(intent)
    return saying('open', path, () =>
      retried(() => walker.at(path, follow, (end) => openRegular(end, flags, { mode: intent.mode, follow }))),
    )
  }

  /** A link at the end was followed by the walk: one that is there now was put there meanwhile. */
  function openEnd(
    end: WalkEnd,
    flags: number,
    { mode, follow }: { mode: number; follow: boolean },
  ): Soon<number> {
    return recovering(
      () => calls.open(pathIn(end.directory, end.name), flags | O_NOFOLLOW, mode),
      (error) => {
        throw follow && errnoOf(error) === errnos.ELOOP ? raced : error
      },
    )
  }

  function openRegular(end: WalkEnd, flags: number, how: { mode: number; follow: boolean }): Soon<number> {
    return whenReady(openEnd(end, flags | neverWait, how), (fd) =>
      whenReady(calls.fstat(fd), (stats) => {
        const kind = kindOfMode(stats.mode)
        if (kind === 'file') return fd
        close(fd)
        const code = kind === 'directory' ? 'is-a-directory' : 'not-a-regular-file'
        throw new FileError(code, `Cannot use it as a file: it is a ${kind}`)
      }),
    )
  }

  function attributesAt(path: VirtualPath, follow: boolean): Soon<FileAttributes> {
    return walker.at(path, follow, (end) =>
      whenReady(statusOf(end), (stats) => {
        if (follow && stats.isSymbolicLink()) throw raced
        return attributesOfStats(stats)
      }),
    )
  }

  function statusOf({ directory, name }: WalkEnd): Soon<fs.Stats> {
    return name === '.' ? calls.fstat(directory.fd) : calls.lstat(pathIn(directory, name))
  }

  function changeAt(path: VirtualPath, change: AttributeChange, follow: boolean): Soon<void> {
    return walker.at(path, follow, (end) =>
      whenReady(openEnd(end, pathOnly | neverWait, { mode: 0, follow: false }), (fd) =>
        closing(
          () => close(fd),
          () =>
            whenReady(calls.fstat(fd), (stats) => {
              if (follow && stats.isSymbolicLink()) throw raced
              return applied({ fd, stats }, change, () => setSize(end, change.size ?? 0))
            }),
        ),
      ),
    )
  }

  function setSize(end: WalkEnd, size: number): Soon<void> {
    const opened = recovering(
      () => openRegular(end, O_WRONLY, { mode: 0, follow: false }),
      (error) => {
        if (errnoOf(error) !== errnos.ELOOP) throw error
        throw new FileError('not-a-regular-file', 'Cannot resize a link')
      },
    )
    return whenReady(opened, (fd) =>
      closing(
        () => close(fd),
        () => calls.setSize(fd, size),
      ),
    )
  }

  /** The descriptor's own path leads to what it holds, a link itself included, and nowhere else. */
  function applied(
    held: { fd: number; stats?: fs.Stats },
    change: AttributeChange,
    resize: () => Soon<void>,
  ): Soon<void> {
    const { mode, owner, times, size } = change
    const itself = pathOf(held.fd)
    const steps: (() => Soon<void>)[] = []
    if (size !== undefined) steps.push(resize)
    if (mode !== undefined)
      steps.push(() => {
        if (held.stats?.isSymbolicLink() === true)
          throw fileErrorOf(errnos.EOPNOTSUPP, 'Cannot set the mode of a link')
        return calls.setMode(itself, mode)
      })
    if (times !== undefined) steps.push(() => calls.setTimes(itself, times.accessTime, times.modifyTime))
    if (owner !== undefined) steps.push(() => calls.setOwner(itself, owner.uid, owner.gid))
    return inOrder(steps)
  }

  function directoryAt(path: VirtualPath): Soon<number> {
    return walker.at(path, true, (end) =>
      openEnd(end, O_RDONLY | O_DIRECTORY | neverWait, { mode: 0, follow: true }),
    )
  }

  function listAt(path: VirtualPath): Soon<EntryStream> {
    return walker.at(path, true, (end) =>
      whenReady(openEnd(end, O_RDONLY | O_DIRECTORY | neverWait, { mode: 0, follow: true }), (fd) =>
        createPortableListing(calls, { fd, path: `${end.directory.path}/${end.name}` }, close),
      ),
    )
  }

  function moved(old: WalkEnd, made: WalkEnd, replace: boolean): Soon<void> {
    const from = pathIn(old.directory, old.name)
    const to = pathIn(made.directory, made.name)
    if (replace) return calls.rename(from, to)
    // A second name fails where one is taken, without a moment between look and leap; directories have no such way.
    const linked = recovering<boolean>(
      () => whenReady(calls.link(from, to), () => true),
      (error) => {
        if (errnoOf(error) === errnos.EEXIST || errnoOf(error) === errnos.ENOENT) throw error
        return false
      },
    )
    return whenReady(linked, (done) => (done ? calls.unlink(from) : renamedIfFree(from, to)))
  }

  function renamedIfFree(from: SystemPath, to: SystemPath): Soon<void> {
    const taken = recovering<boolean>(
      () => whenReady(calls.lstat(to), () => true),
      (error) => {
        if (errnoOf(error) === errnos.ENOENT) return false
        throw error
      },
    )
    return whenReady(taken, (is) => {
      if (is) throw fileErrorOf(errnos.EEXIST, 'Cannot rename: the new name is taken')
      return calls.rename(from, to)
    })
  }

  function readLink(path: VirtualPath): Soon<string> {
    return whenReady(look(path), (step) => {
      if (step.at === 'link') return step.target
      if (step.at === 'nothing') throw fileErrorOf(errnos.ENOENT, 'Cannot read a link')
      throw new FileError('not-a-link', 'Cannot read a link: it is none')
    })
  }

  function look(path: VirtualPath): Soon<Step> {
    return recovering<Step>(
      () =>
        walker.at(path, false, ({ directory, name }) =>
          whenReady(calls.readLink(pathIn(directory, name)), (target): Step => ({ at: 'link', target })),
        ),
      (error) => {
        if (errnoOf(error) === errnos.EINVAL) return { at: 'other' }
        if (errnoOf(error) === errnos.ENOENT) return { at: 'nothing' }
        throw error
      },
    )
  }

  function spaceAt(path: VirtualPath): Soon<SpaceInfo> {
    return walker.at(path, true, (end) =>
      whenReady(openEnd(end, pathOnly | neverWait, { mode: 0, follow: true }), (fd) =>
        closing(
          () => close(fd),
          () => whenReady(calls.space(pathOf(fd)), spaceOfStats),
        ),
      ),
    )
  }

  /** Runs `act` on a name that is not followed; the root has none, and fails with `errno`. */
  function atName<T>(path: VirtualPath, errno: number, act: (end: WalkEnd) => Soon<T>): Soon<T> {
    if (path === rootPath) throw fileErrorOf(errno, 'Cannot do that to the root')
    return walker.at(path, false, act)
  }
}

function openRoot(realPath: string): HeldDirectory {
  try {
    const path = fs.realpathSync(realPath)
    return { fd: fs.openSync(path, O_DIRECTORY | pathOnly), path: nameFromText(path === '/' ? '' : path) }
  } catch (error) {
    throw fileErrorFrom(error, `Cannot open the directory "${realPath}"`)
  }
}

/** A path that leads to what a descriptor holds. */
function pathOf(fd: number): Buffer {
  return bytesOf(holdsByDescriptor ? `/proc/self/fd/${fd}` : `/dev/fd/${fd}`)
}

function flagsOf(intent: OpenIntent): number {
  const { O_APPEND, O_CREAT, O_EXCL, O_RDWR, O_TRUNC } = fs.constants
  const access = intent.write ? (intent.read ? O_RDWR : O_WRONLY) : O_RDONLY
  const making = intent.create ? O_CREAT | (intent.exclusive ? O_EXCL : 0) : 0
  return access | making | (intent.truncate ? O_TRUNC : 0) | (intent.append ? O_APPEND : 0)
}

function targetBytes(target: string): Buffer {
  if (target.includes('\0')) throw new FileError('bad-message', 'Cannot use a target with a NUL byte')
  return bytesOf(target)
}

function retried<T>(action: () => Soon<T>, attempt = 1): Soon<T> {
  return recovering(action, (error) => {
    if (error !== raced || attempt >= mostAttempts) throw error
    return retried(action, attempt + 1)
  })
}

/** Puts into words what could not be done, and Node's errors into ours. */
function saying<T>(verb: string, path: VirtualPath | undefined, action: () => Soon<T>): Soon<T> {
  return recovering(action, (error) => {
    throw fileErrorFrom(
      error,
      `Cannot ${verb} ${path === undefined ? 'an open file' : `"${displayName(path)}"`}`,
    )
  })
}

function spaceOfStats({ bsize, blocks, bfree, bavail, files, ffree }: fs.StatsFs): SpaceInfo {
  return {
    ...{ blockSize: bsize, fragmentSize: bsize, blocks, freeBlocks: bfree, availableBlocks: bavail },
    ...{ files, freeFiles: ffree, availableFiles: ffree, id: 0, readOnly: false, maxNameBytes: 255 },
  }
}
