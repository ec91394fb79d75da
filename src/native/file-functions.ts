import type { WholeFunction } from './lane.ts'
import type { ForeignLibrary } from './library.ts'

/** The C functions behind `KernelCalls`. Addresses travel as numbers; see `addressOf`. */
export interface FileFunctions {
  /** The first parameter of the five calls that go by number. */
  readonly numbers: CallNumbers
  readonly openAtTwo: WholeFunction
  readonly statx: WholeFunction
  readonly directoryRecords: WholeFunction
  readonly renameAtTwo: WholeFunction
  readonly changeModeAtTwo: WholeFunction
  readonly makeDirectoryAt: WholeFunction
  readonly unlinkAt: WholeFunction
  readonly linkAt: WholeFunction
  readonly symbolicLinkAt: WholeFunction
  readonly readLinkAt: WholeFunction
  readonly changeModeAt: WholeFunction
  readonly changeOwnerAt: WholeFunction
  readonly setTimesAt: WholeFunction
  readonly setSize: WholeFunction
  readonly space: WholeFunction
  readonly close: WholeFunction
}

/** The calls that a C library may not know by name yet, by their numbers. `openat2` and `fchmodat2` have one for all. */
const callNumbers = {
  x64: { statx: 332, getdents64: 217, renameat2: 316, openat2: 437, fchmodat2: 452 },
  arm64: { statx: 291, getdents64: 61, renameat2: 276, openat2: 437, fchmodat2: 452 },
} as const satisfies Record<string, CallNumbers>

interface CallNumbers {
  readonly statx: number
  readonly getdents64: number
  readonly renameat2: number
  readonly openat2: number
  readonly fchmodat2: number
}

/** Declares the file calls, or undefined where this file knows no numbers. Throws when the C library lacks one. */
export function fileFunctions(libc: ForeignLibrary): FileFunctions | undefined {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) return undefined
  const numbers = callNumbers[process.arch]
  const declare = (definition: string): WholeFunction => libc.declare<(...n: number[]) => number>(definition)
  return {
    numbers,
    openAtTwo: declare(numbered('int dir, uint64_t path, uint64_t how, size_t size')),
    statx: declare(numbered('int dir, uint64_t path, int flags, uint mask, uint64_t into')),
    directoryRecords: declare(numbered('int fd, uint64_t into, size_t size')),
    renameAtTwo: declare(numbered('int dir, uint64_t from, int toDir, uint64_t to, uint flags')),
    changeModeAtTwo: declare(numbered('int dir, uint64_t path, uint mode, uint flags')),
    makeDirectoryAt: declare('int mkdirat(int dir, uint64_t path, uint mode)'),
    unlinkAt: declare('int unlinkat(int dir, uint64_t path, int flags)'),
    linkAt: declare('int linkat(int dir, uint64_t from, int toDir, uint64_t to, int flags)'),
    symbolicLinkAt: declare('int symlinkat(uint64_t target, int dir, uint64_t path)'),
    readLinkAt: declare('long readlinkat(int dir, uint64_t path, uint64_t into, size_t size)'),
    changeModeAt: declare('int fchmodat(int dir, uint64_t path, uint mode, int flags)'),
    changeOwnerAt: declare('int fchownat(int dir, uint64_t path, uint uid, uint gid, int flags)'),
    setTimesAt: declare('int utimensat(int dir, uint64_t path, uint64_t times, int flags)'),
    setSize: declare('int ftruncate(int fd, int64_t size)'),
    space: declare('int fstatvfs(int fd, uint64_t into)'),
    close: declare('int close(int fd)'),
  }
}

const numbered = (parameters: string): string => `long syscall(long number, ${parameters})`
