import { closeSync } from 'node:fs'
import { lastErrno, native, type ForeignFunction, type Native } from './library.ts'
import { errnos } from './errno.ts'

/** A file in memory that can be filled once and then be changed by nobody, root included. */
export interface SealableFile {
  /** Open for reading and writing until `seal`. */
  readonly descriptor: number
  /** Ends all change. Throws when the kernel does not confirm it. */
  seal(): void
  close(): void
}

/** Such a file, or the reason why this machine has none. */
export type SealedFileResult =
  { readonly works: true; readonly file: SealableFile } | { readonly works: false; readonly reason: string }

/** Creates an empty file in memory that may be executed once it is sealed. `name` only shows in `/proc`. */
export function createSealableFile(name: string, library: Native = native()): SealedFileResult {
  if (process.platform !== 'linux') return refused('only Linux has sealed memory files')
  if (!library.works) return refused(library.reason)
  try {
    const calls = declared(library)
    const descriptor = openExecutable(calls, name)
    if (descriptor < 0) return refused(reasonOf(-descriptor))
    return { works: true, file: sealable(calls, descriptor) }
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error))
  }
}

interface Calls {
  readonly memfdCreate: ForeignFunction<(name: string, flags: number) => number>
  readonly fcntl: ForeignFunction<(descriptor: number, command: number, argument: number) => number>
}

const closeOnExec = 0x1
const allowSealing = 0x2
/** Since Linux 6.3; older kernels answer EINVAL. */
const executable = 0x10

const addSeals = 1033
const getSeals = 1034
/** No further seal, no shrinking, no growing, no writing. */
const allSeals = 0x1 | 0x2 | 0x4 | 0x8

/** Per loaded library, so that a start does not declare them again. */
const known = new WeakMap<object, Calls>()

function declared(library: Native & { works: true }): Calls {
  const found = known.get(library.libc)
  if (found !== undefined) return found
  const calls: Calls = {
    memfdCreate: library.libc.declare('int memfd_create(const char* name, uint flags)'),
    // Variadic in C: an integer argument travels the same way on every Linux we run on.
    fcntl: library.libc.declare('int fcntl(int fd, int command, int argument)'),
  }
  known.set(library.libc, calls)
  return calls
}

/** The descriptor, or minus the error number. */
function openExecutable(calls: Calls, name: string): number {
  const first = calls.memfdCreate(name, closeOnExec | allowSealing | executable)
  if (first >= 0) return first
  if (lastErrno() !== errnos.EINVAL) return -lastErrno()
  const second = calls.memfdCreate(name, closeOnExec | allowSealing)
  return second >= 0 ? second : -lastErrno()
}

function sealable(calls: Calls, descriptor: number): SealableFile {
  let open = true
  return {
    descriptor,
    seal() {
      const done = calls.fcntl(descriptor, addSeals, allSeals)
      const seals = calls.fcntl(descriptor, getSeals, 0)
      if (done !== 0 || (seals & allSeals) !== allSeals)
        throw new Error(`The kernel did not seal the memory file (${lastErrno()})`)
    },
    close() {
      if (!open) return
      open = false
      closeSync(descriptor)
    },
  }
}

function reasonOf(errno: number): string {
  if (errno === errnos.EACCES) return 'vm.memfd_noexec forbids executable memory files'
  if (errno === errnos.ENOSYS || errno === errnos.EPERM) return 'this system does not allow memory files'
  return `memfd_create failed with errno ${errno}`
}

function refused(reason: string): SealedFileResult {
  return { works: false, reason }
}
