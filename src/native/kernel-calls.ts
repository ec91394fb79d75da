import { constants } from 'node:fs'
import type { FileAttributes, SpaceInfo } from '../base/file.ts'
import { whenReady, type Soon } from '../base/soon.ts'
import type { Arena, PinnedBuffer } from './arena.ts'
import { errnos } from './errno.ts'
import type { FileFunctions } from './file-functions.ts'
import { readSpace, readStatus, statusMask } from './file-status.ts'
import type { Invoke, Lane } from './lane.ts'

/**
 * The kernel's file calls that start from a directory's descriptor, one method per call.
 *
 * Names are strings of one character per byte. A failure is a negative error number, never an exception:
 * expected ones are common, and an exception costs more than the call.
 */
export interface KernelCalls {
  /** Opens `path` as seen from `root` under the rules of `resolve`. `EAGAIN` is tried again, 32 times at most. */
  open(root: number, path: string, how: OpenHow): Soon<number>
  /** With an empty name and `AT_EMPTY_PATH` the attributes of the descriptor itself. */
  attributes(directory: number, name: string, flags: number): Soon<FileAttributes | number>
  /** The attributes of the name that lies at `offset` of `records`, NUL-terminated; a link's own. */
  attributesAt(directory: number, records: PinnedBuffer, offset: number): Soon<FileAttributes | number>
  /** Fills `into` with directory records as the kernel writes them; 0 at the end. */
  records(directory: number, into: PinnedBuffer): Soon<number>
  makeDirectory(directory: number, name: string, mode: number): Soon<number>
  unlink(directory: number, name: string, flags: number): Soon<number>
  rename(from: NameIn, to: NameIn, flags: number): Soon<number>
  hardLink(existing: NameIn, made: NameIn): Soon<number>
  symbolicLink(target: string, made: NameIn): Soon<number>
  readLink(directory: number, name: string): Soon<string | number>
  /** The next three take a descriptor of any kind, one of a link itself included, and follow it nowhere. */
  setMode(fd: number, mode: number): Soon<number>
  setOwner(fd: number, uid: number, gid: number): Soon<number>
  setTimes(fd: number, accessTime: number, modifyTime: number): Soon<number>
  setSize(fd: number, size: number): Soon<number>
  space(fd: number): Soon<SpaceInfo | number>
  /** At once in both lanes: it closes what was never written to. */
  close(fd: number): void
}

/** A name in an open directory. */
export interface NameIn {
  readonly directory: number
  readonly name: string
}

/** How to open: flags and mode of `open`, and the rules of the way there. */
export interface OpenHow {
  readonly flags: number
  readonly mode?: number
  readonly resolve: number
}

/** Flags that Node has no names for; the same on x86-64 and arm64. */
export const flagBits = {
  O_PATH: 0o10000000,
  O_CLOEXEC: 0o2000000,
  AT_SYMLINK_NOFOLLOW: 0x100,
  AT_REMOVEDIR: 0x200,
  AT_NO_AUTOMOUNT: 0x800,
  AT_EMPTY_PATH: 0x1000,
  RENAME_NOREPLACE: 1,
  RESOLVE_NO_MAGICLINKS: 0x02,
  RESOLVE_NO_SYMLINKS: 0x04,
  RESOLVE_IN_ROOT: 0x10,
} as const

/** The descriptor that stands for no directory: absolute paths. */
const nowhere = -100
const mostAttempts = 32
const { O_CLOEXEC, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT } = flagBits

/** Creates the calls over C functions, at once or in the pool as `lane` says. */
export function createKernelCalls(c: FileFunctions, lane: Lane): KernelCalls {
  return {
    open: (root, path, how) =>
      lane.use((arena, invoke) => {
        writeHow(arena.structure, how)
        const open = (): Soon<number> =>
          invoke(c.openAtTwo, c.numbers.openat2, root, arena.text(0, path), arena.structure.address, 24)
        return again(open, 1)
      }),
    attributes: (directory, name, flags) =>
      lane.use((arena, invoke) => status(arena, invoke, [directory, arena.text(0, name), flags])),
    attributesAt: (directory, records, offset) =>
      lane.use((arena, invoke) =>
        status(arena, invoke, [directory, records.address + offset, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT]),
      ),
    records: (directory, into) =>
      lane.use((_, invoke) =>
        invoke(c.directoryRecords, c.numbers.getdents64, directory, into.address, into.bytes.length),
      ),
    makeDirectory: (directory, name, mode) =>
      lane.use((arena, invoke) => invoke(c.makeDirectoryAt, directory, arena.text(0, name), mode)),
    unlink: (directory, name, flags) =>
      lane.use((arena, invoke) => invoke(c.unlinkAt, directory, arena.text(0, name), flags)),
    rename: (from, to, flags) =>
      lane.use((arena, invoke) => {
        const names = [from.directory, arena.text(0, from.name), to.directory, arena.text(1, to.name)]
        return invoke(c.renameAtTwo, c.numbers.renameat2, ...names, flags)
      }),
    hardLink: (existing, made) =>
      lane.use((arena, invoke) => {
        const names = [
          existing.directory,
          arena.text(0, existing.name),
          made.directory,
          arena.text(1, made.name),
        ]
        return invoke(c.linkAt, ...names, 0)
      }),
    symbolicLink: (target, made) =>
      lane.use((arena, invoke) =>
        invoke(c.symbolicLinkAt, arena.text(0, target), made.directory, arena.text(1, made.name)),
      ),
    readLink: (directory, name) =>
      lane.use((arena, invoke) => {
        const { address, bytes } = arena.structure
        const length = invoke(c.readLinkAt, directory, arena.text(0, name), address, bytes.length)
        return whenReady(length, (read) => (read < 0 ? read : bytes.toString('latin1', 0, read)))
      }),
    setMode: (fd, mode) => lane.use((arena, invoke) => setMode(arena, invoke, fd, mode)),
    setOwner: (fd, uid, gid) =>
      lane.use((arena, invoke) => invoke(c.changeOwnerAt, fd, arena.text(0, ''), uid, gid, AT_EMPTY_PATH)),
    setTimes: (fd, accessTime, modifyTime) =>
      lane.use((arena, invoke) => setTimes(arena, invoke, { fd, accessTime, modifyTime })),
    setSize: (fd, size) =>
      Number.isSafeInteger(size) && size >= 0
        ? lane.use((_, invoke) => invoke(c.setSize, fd, size))
        : -errnos.EFBIG,
    space: (fd) =>
      lane.use((arena, invoke) =>
        whenReady(invoke(c.space, fd, arena.structure.address), (result) =>
          result < 0 ? result : readSpace(arena.structure),
        ),
      ),
    close: (fd) => void c.close(fd),
  }

  function status(arena: Arena, invoke: Invoke, where: readonly number[]): Soon<FileAttributes | number> {
    const result = invoke(c.statx, c.numbers.statx, ...where, statusMask, arena.structure.address)
    return whenReady(result, (failed) => (failed < 0 ? failed : readStatus(arena.structure)))
  }

  /** Linux has a call for this since 6.6; before, the way leads over the descriptor's name in /proc. */
  function setMode(arena: Arena, invoke: Invoke, fd: number, mode: number): Soon<number> {
    const direct = invoke(c.changeModeAtTwo, c.numbers.fchmodat2, fd, arena.text(0, ''), mode, AT_EMPTY_PATH)
    return whenReady(direct, (result) => {
      if (result !== -errnos.ENOSYS && result !== -errnos.EPERM) return result
      return invoke(c.changeModeAt, nowhere, arena.text(0, `/proc/self/fd/${fd}`), mode, 0)
    })
  }

  /** An empty path is taken since Linux 5.8. */
  function setTimes(arena: Arena, invoke: Invoke, change: TimeChange): Soon<number> {
    const { fd, accessTime, modifyTime } = change
    const { address, bytes } = arena.structure
    for (const [index, seconds] of [accessTime, modifyTime].entries()) {
      bytes.writeBigInt64LE(BigInt(Math.floor(seconds)), index * 16)
      bytes.writeBigInt64LE(0n, index * 16 + 8)
    }
    const direct = invoke(c.setTimesAt, fd, arena.text(0, ''), address, AT_EMPTY_PATH)
    return whenReady(direct, (result) => {
      if (result !== -errnos.EINVAL) return result
      return invoke(c.setTimesAt, nowhere, arena.text(0, `/proc/self/fd/${fd}`), address, 0)
    })
  }
}

interface TimeChange {
  readonly fd: number
  readonly accessTime: number
  readonly modifyTime: number
}

/** Renames by others, anywhere on the machine, make a confined walk fail with `EAGAIN`: it was not safe to go on. */
function again(open: () => Soon<number>, attempt: number): Soon<number> {
  return whenReady(open(), (result) =>
    result === -errnos.EAGAIN && attempt < mostAttempts ? again(open, attempt + 1) : result,
  )
}

/** `struct open_how`: flags, mode and rules, 64 bits each. Every flag we use fits in 32. */
function writeHow({ unsigned }: Arena['structure'], { flags, mode, resolve }: OpenHow): void {
  unsigned[0] = flags | O_CLOEXEC
  unsigned[1] = 0
  // The kernel refuses a mode where nothing is made.
  unsigned[2] = (flags & constants.O_CREAT) === 0 ? 0 : (mode ?? 0) & 0o7777
  unsigned[3] = 0
  unsigned[4] = resolve
  unsigned[5] = 0
}
