import { constants } from 'node:fs'
import { FileError } from '../base/errors.ts'
import type { AttributeChange, FileAttributes, OpenIntent } from '../base/file.ts'
import { resolveLinks, type Step } from '../base/resolve-links.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { displayName, nameOf, parentOf, rootPath, type VirtualPath } from '../base/virtual-path.ts'
import type { DirectoryCalls } from './directory-calls.ts'
import { createRecordListing } from './directory-records.ts'
import { errnos, fileErrorOf } from './errno.ts'
import { closing, inOrder } from './in-order.ts'
import { flagBits, type KernelCalls, type NameIn } from './kernel-calls.ts'

const { O_CREAT, O_DIRECTORY, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants
const { AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, O_PATH } = flagBits
/** A pipe or a device does not make the opener wait, and no terminal becomes ours. */
const neverWait = O_NONBLOCK | O_NOCTTY

/**
 * The calls of somebody who cannot leave the directory behind the descriptor `root`: the kernel walks every path
 * under the rules of `resolve`, so that no link, no `..` and no race with others leads out.
 *
 * `resolve` 0 confines nothing: for a root of `/` where the kernel's own permissions are all there is.
 */
export function createConfinedCalls(kernel: KernelCalls, root: number, resolve: number): DirectoryCalls {
  return {
    open,
    attributes,
    find,
    attributesOf: (fd) => given(kernel.attributes(fd, '', AT_EMPTY_PATH), 'look at'),
    change,
    changeOf,
    list: (path) =>
      whenReady(opened(path, { flags: O_RDONLY | O_DIRECTORY | neverWait, resolve }, 'list'), (fd) =>
        createRecordListing(kernel, fd),
      ),
    openDirectory: (path) => opened(path, { flags: O_RDONLY | O_DIRECTORY | neverWait, resolve }, 'sync'),
    makeDirectory(path, mode) {
      if (path === rootPath) throw fileErrorOf(errnos.EEXIST, 'Cannot make the root')
      return inParent(path, ({ directory, name }) =>
        done(kernel.makeDirectory(directory, name, mode), 'make', path),
      )
    },
    removeDirectory(path) {
      if (path === rootPath) throw fileErrorOf(errnos.EBUSY, 'Cannot remove the root')
      return unlink(path, AT_REMOVEDIR)
    },
    remove(path) {
      if (path === rootPath) throw fileErrorOf(errnos.EISDIR, 'Cannot remove the root')
      return unlink(path, 0)
    },
    rename,
    resolve: resolvePath,
    readLink(path) {
      if (path === rootPath) throw new FileError('not-a-link', 'Cannot read a link: it is the root')
      return whenReady(linkTarget(path), (target) => {
        if (typeof target === 'string') return target
        if (target === -errnos.EINVAL)
          throw new FileError('not-a-link', `Cannot read a link: ${quoted(path)} is none`)
        throw failure(target, 'read the link', path)
      })
    },
    symbolicLink(target, path) {
      if (path === rootPath) throw fileErrorOf(errnos.EEXIST, 'Cannot make the root')
      return inParent(path, (made) => done(kernel.symbolicLink(target, made), 'make the link', path))
    },
    hardLink(existing, path) {
      if (existing === rootPath) throw fileErrorOf(errnos.EPERM, 'Cannot link the root')
      if (path === rootPath) throw fileErrorOf(errnos.EEXIST, 'Cannot make the root')
      return inParents(existing, path, (from, made) =>
        done(kernel.hardLink(from, made), 'make the link', path),
      )
    },
    space: (path) =>
      whenReady(opened(path, { flags: O_PATH, resolve }, 'measure'), (fd) =>
        closing(
          () => kernel.close(fd),
          () => given(kernel.space(fd), 'measure', path),
        ),
      ),
  }

  function open(path: VirtualPath, intent: OpenIntent): Soon<number> {
    // What this call made itself is a regular file: the kernel need not be asked.
    if (intent.create && intent.exclusive) {
      const flags = flagsOf(intent) | neverWait
      return opened(path, { flags, mode: intent.mode, resolve }, 'open')
    }
    return openRegular(path, { flags: flagsOf(intent), mode: intent.mode, resolve })
  }

  function openRegular(
    path: VirtualPath,
    how: { flags: number; mode: number; resolve: number },
  ): Soon<number> {
    return whenReady(opened(path, { ...how, flags: how.flags | neverWait }, 'open'), (fd) =>
      whenReady(kernel.attributes(fd, '', AT_EMPTY_PATH), (status) => {
        if (typeof status !== 'number' && status.kind === 'file') return fd
        kernel.close(fd)
        if (typeof status === 'number') throw failure(status, 'open', path)
        const code = status.kind === 'directory' ? 'is-a-directory' : 'not-a-regular-file'
        throw new FileError(code, `Cannot open ${quoted(path)}: it is a ${status.kind}`)
      }),
    )
  }

  function attributes(path: VirtualPath, follow: boolean): Soon<FileAttributes> {
    if (follow && path.lastIndexOf('/') > 0) return attributesByWalk(path)
    return whenReady(find(path), (found) => {
      if (found === undefined) throw failure(-errnos.ENOENT, 'look at', path)
      return follow && found.kind === 'link' ? attributesByWalk(path) : found
    })
  }

  function attributesByWalk(path: VirtualPath): Soon<FileAttributes> {
    return atPath(path, true, (fd) => given(kernel.attributes(fd, '', AT_EMPTY_PATH), 'look at', path))
  }

  function find(path: VirtualPath): Soon<FileAttributes | undefined> {
    if (path === rootPath) return given(kernel.attributes(root, '', AT_EMPTY_PATH), 'look at', path)
    // A single name that is not followed leads nowhere: the kernel needs no walk.
    if (path.lastIndexOf('/') === 0)
      return present(kernel.attributes(root, path.slice(1), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT), path)
    return whenReady(kernel.open(root, path.slice(1), { flags: O_PATH | O_NOFOLLOW, resolve }), (fd) => {
      if (fd < 0) return present(fd, path)
      return closing(
        () => kernel.close(fd),
        () => given(kernel.attributes(fd, '', AT_EMPTY_PATH), 'look at', path),
      )
    })
  }

  function change(path: VirtualPath, wish: AttributeChange, follow: boolean): Soon<void> {
    const { size } = wish
    return atPath(path, follow, (fd) =>
      inOrder([...(size === undefined ? [] : [() => setSize(path, size, follow)]), ...steps(fd, wish, path)]),
    )
  }

  function changeOf(fd: number, wish: AttributeChange): Soon<void> {
    const { size } = wish
    const first = size === undefined ? [] : [() => done(kernel.setSize(fd, size), 'resize')]
    return inOrder([...first, ...steps(fd, wish)])
  }

  function steps(
    fd: number,
    { mode, owner, times }: AttributeChange,
    path?: VirtualPath,
  ): (() => Soon<void>)[] {
    const list: (() => Soon<void>)[] = []
    if (mode !== undefined) list.push(() => done(kernel.setMode(fd, mode), 'change', path))
    if (times !== undefined)
      list.push(() => done(kernel.setTimes(fd, times.accessTime, times.modifyTime), 'change', path))
    if (owner !== undefined) list.push(() => done(kernel.setOwner(fd, owner.uid, owner.gid), 'change', path))
    return list
  }

  function setSize(path: VirtualPath, size: number, follow: boolean): Soon<void> {
    const flags = O_WRONLY | (follow ? 0 : O_NOFOLLOW)
    const file = recovering(
      () => openRegular(path, { flags, mode: 0, resolve }),
      (error) => {
        const isLink = !follow && error instanceof FileError && error.code === 'too-many-links'
        throw isLink
          ? new FileError('not-a-regular-file', `Cannot resize ${quoted(path)}: it is a link`)
          : error
      },
    )
    return whenReady(file, (fd) =>
      closing(
        () => kernel.close(fd),
        () => done(kernel.setSize(fd, size), 'resize', path),
      ),
    )
  }

  function rename(from: VirtualPath, to: VirtualPath, replace: boolean): Soon<void> {
    if (from === rootPath || to === rootPath) throw fileErrorOf(errnos.EBUSY, 'Cannot rename the root')
    return inParents(from, to, (old, made) => {
      if (replace) return done(kernel.rename(old, made, 0), 'rename', from)
      return whenReady(kernel.rename(old, made, flagBits.RENAME_NOREPLACE), (result) => {
        // Some disks know no such flag; they say so with the number that also means "into itself".
        if (result === -errnos.EINVAL || result === -errnos.ENOSYS) return renameByLink(old, made, from)
        return done(result, 'rename', from)
      })
    })
  }

  /** A second name fails where one is taken, without a moment between look and leap; directories have no such way. */
  function renameByLink(old: NameIn, made: NameIn, path: VirtualPath): Soon<void> {
    return whenReady(kernel.hardLink(old, made), (linked) => {
      if (linked >= 0) return done(kernel.unlink(old.directory, old.name, 0), 'rename', path)
      if (linked === -errnos.EEXIST) throw failure(linked, 'rename', path)
      return whenReady(kernel.attributes(made.directory, made.name, AT_SYMLINK_NOFOLLOW), (taken) => {
        if (typeof taken !== 'number') throw failure(-errnos.EEXIST, 'rename', path)
        return done(kernel.rename(old, made, 0), 'rename', path)
      })
    })
  }

  function unlink(path: VirtualPath, flags: number): Soon<void> {
    return inParent(path, ({ directory, name }) =>
      done(kernel.unlink(directory, name, flags), 'remove', path),
    )
  }

  /** Where no link is on the way, and that is the usual case, one look by the kernel answers. */
  function resolvePath(path: VirtualPath): Soon<VirtualPath> {
    if (path === rootPath) return path
    const how = { flags: O_PATH | O_NOFOLLOW, resolve: resolve | flagBits.RESOLVE_NO_SYMLINKS }
    return whenReady(kernel.open(root, path.slice(1), how), (fd) => {
      if (fd < 0) return resolveLinks(path, look)
      return whenReady(kernel.attributes(fd, '', AT_EMPTY_PATH), (status) => {
        kernel.close(fd)
        return typeof status !== 'number' && status.kind !== 'link' ? path : resolveLinks(path, look)
      })
    })
  }

  function look(path: VirtualPath): Soon<Step> {
    return whenReady(linkTarget(path), (target): Step => {
      if (typeof target === 'string') return { at: 'link', target }
      if (target === -errnos.EINVAL) return { at: 'other' }
      if (target === -errnos.ENOENT) return { at: 'nothing' }
      throw failure(target, 'resolve', path)
    })
  }

  function linkTarget(path: VirtualPath): Soon<string | number> {
    return inParent(path, ({ directory, name }) => kernel.readLink(directory, name))
  }

  /** Opens as told; the descriptor, or a failure. */
  function opened(
    path: VirtualPath,
    how: { readonly flags: number; readonly mode?: number; readonly resolve: number },
    verb: string,
  ): Soon<number> {
    return whenReady(kernel.open(root, path === rootPath ? '.' : path.slice(1), how), (fd) => {
      if (fd < 0) throw failure(fd, verb, path)
      return fd
    })
  }

  /** Runs `act` on what `path` stands for; the descriptor names it and gives no access to its bytes. */
  function atPath<T>(path: VirtualPath, follow: boolean, act: (fd: number) => Soon<T>): Soon<T> {
    const flags = O_PATH | (follow ? 0 : O_NOFOLLOW)
    return whenReady(opened(path, { flags, resolve }, 'look at'), (fd) =>
      closing(
        () => kernel.close(fd),
        () => act(fd),
      ),
    )
  }

  /** Runs `act` on the name and its directory, which stays the same one whatever others rename meanwhile. */
  function inParent<T>(path: VirtualPath, act: (place: NameIn) => Soon<T>): Soon<T> {
    const parent = parentOf(path)
    const name = nameOf(path)
    if (parent === rootPath) return act({ directory: root, name })
    return whenReady(opened(parent, { flags: O_PATH | O_DIRECTORY, resolve }, 'enter'), (directory) =>
      closing(
        () => kernel.close(directory),
        () => act({ directory, name }),
      ),
    )
  }

  function inParents<T>(
    one: VirtualPath,
    two: VirtualPath,
    act: (one: NameIn, two: NameIn) => Soon<T>,
  ): Soon<T> {
    const together = parentOf(one) === parentOf(two)
    return inParent(one, (first) =>
      together
        ? act(first, { directory: first.directory, name: nameOf(two) })
        : inParent(two, (second) => act(first, second)),
    )
  }
}

function flagsOf(intent: OpenIntent): number {
  const access = intent.write ? (intent.read ? constants.O_RDWR : O_WRONLY) : O_RDONLY
  const making = intent.create ? O_CREAT | (intent.exclusive ? constants.O_EXCL : 0) : 0
  const cutting = intent.truncate ? constants.O_TRUNC : 0
  return access | making | cutting | (intent.append ? constants.O_APPEND : 0)
}

function done(result: Soon<number>, verb: string, path?: VirtualPath): Soon<void> {
  return whenReady(result, (number) => {
    if (number < 0) throw failure(number, verb, path)
  })
}

function given<T extends object>(result: Soon<T | number>, verb: string, path?: VirtualPath): Soon<T> {
  return whenReady(result, (value) => {
    if (typeof value === 'number') throw failure(value, verb, path)
    return value
  })
}

/** As `given`, and undefined where nothing has the name. */
function present(result: Soon<FileAttributes | number>, path: VirtualPath): Soon<FileAttributes | undefined> {
  return whenReady(result, (value) => (value === -errnos.ENOENT ? undefined : given(value, 'look at', path)))
}

function failure(errno: number, verb: string, path?: VirtualPath): FileError {
  return fileErrorOf(errno, `Cannot ${verb} ${path === undefined ? 'an open file' : quoted(path)}`)
}

const quoted = (path: VirtualPath): string => `"${displayName(path)}"`
