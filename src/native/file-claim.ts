import { fstatSync, lstatSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileError } from '../base/errors.ts'
import { makeFolders } from '../base/make-folders.ts'
import { whenReady, type Soon } from '../base/soon.ts'
import type { CallPlace } from './directory-calls.ts'
import { errnos, fileErrorFrom, fileErrorOf } from './errno.ts'
import { createInlineLane, createLane, type WholeFunction } from './lane.ts'
import { native, type Native } from './library.ts'
import { holdLockFile, lockFileHolder } from './lock-file.ts'

/**
 * Claims on open files: of all who ask, in this process and in others, one has a file at a time. Who does not ask is
 * not held up. A claim ends with the process that has it, however that ends.
 */
export interface FileClaims {
  /** Claims the file that `fd` is open to; undefined when somebody else has it. */
  take(fd: number, place: CallPlace): Soon<FileClaim | undefined>
  /** Whether somebody has the file that `fd` is open to, which is not claimed by `fd` itself. */
  taken(fd: number, place: CallPlace): Soon<boolean>
}

/** A file that is claimed, until its descriptor is closed; `release` comes right before that. */
export interface FileClaim {
  release(): void
}

/** The claims of this machine. */
export function fileClaims(): FileClaims {
  found ??= createFileClaims()
  return found
}

/**
 * Creates them: by a lock that the kernel holds, or by files that name a process where there is no native code or the
 * disk knows no locks. The second way sees processes of this machine that run as the same user.
 */
export function createFileClaims(code: Native = native(), folder = claimFolder()): FileClaims {
  const portable = createPortableClaims(folder)
  if (!code.works || !code.libc.has('flock')) return portable
  const flock: WholeFunction = code.libc.declare<(...n: number[]) => number>('int flock(int fd, int how)')
  const atOnce = createInlineLane()
  const lock = (fd: number, how: number, place: CallPlace): Soon<number> =>
    createLane(atOnce, place).use((_, invoke) => invoke(flock, fd, how))
  return {
    take: (fd, place) =>
      whenReady(lock(fd, exclusive | atOnceOnly, place), (result) => {
        if (result === 0) return endsByItself
        if (result === -wouldBlock) return undefined
        return knowsNoLocks.has(-result) ? portable.take(fd, place) : refused(result)
      }),
    taken: (fd, place) =>
      whenReady(lock(fd, shared | atOnceOnly, place), (result) => {
        if (result === -wouldBlock) return true
        if (result !== 0) return knowsNoLocks.has(-result) ? portable.taken(fd, place) : refused(result)
        return whenReady(lock(fd, unlock, place), () => false)
      }),
  }
}

/** A constant once it is known. */
let found: FileClaims | undefined

const [shared, exclusive, atOnceOnly, unlock] = [1, 2, 4, 8] as const
const wouldBlock = process.platform === 'darwin' ? 35 : errnos.EAGAIN
/** What a disk says that has no locks; 37 is ENOLCK. */
const knowsNoLocks: ReadonlySet<number> = new Set([errnos.EINVAL, errnos.ENOSYS, errnos.EOPNOTSUPP, 37])
/** The kernel lets it go with the descriptor. */
const endsByItself: FileClaim = { release() {} }

function createPortableClaims(folder: string): FileClaims {
  return {
    take(fd) {
      makeOwnFolder(folder)
      const attempt = holdLockFile(fileIn(folder, fd))
      return attempt.held ? { release: () => attempt.close() } : undefined
    },
    taken: (fd) => lockFileHolder(fileIn(folder, fd)) !== undefined,
  }
}

function fileIn(folder: string, fd: number): string {
  const { dev, ino } = fstatSync(fd)
  return join(folder, `${dev}-${ino}`)
}

/** Everybody may make names in the temporary folder: what is there has to be ours, and nobody else's to write in. */
function makeOwnFolder(folder: string): void {
  try {
    makeFolders(folder, 0o700)
    const { uid, mode } = lstatSync(folder)
    if (uid === ownUser() && (mode & 0o170077) === 0o040000) return
  } catch (error) {
    throw fileErrorFrom(error, `Cannot claim a file: "${folder}" cannot be made`)
  }
  throw new FileError('permission-denied', `Cannot claim a file: "${folder}" belongs to somebody else`)
}

function claimFolder(): string {
  return join(tmpdir(), `sftpgo-ts-claims-${ownUser()}`)
}

/** Windows knows no numbers of users, and says 0 for every owner. */
function ownUser(): number {
  return process.geteuid?.() ?? 0
}

function refused(result: number): never {
  throw fileErrorOf(result, 'Cannot claim a file')
}
