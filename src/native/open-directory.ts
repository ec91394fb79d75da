import { constants } from 'node:fs'
import { nameFromText } from '../base/virtual-path.ts'
import { createConfinedCalls } from './confined-directory.ts'
import type { CallPlace, OpenDirectory, OpenDirectoryOptions } from './directory-calls.ts'
import { fileErrorOf } from './errno.ts'
import { fileFunctions, type FileFunctions } from './file-functions.ts'
import { createKernelCalls, flagBits, type KernelCalls } from './kernel-calls.ts'
import { createInlineLane, createLane } from './lane.ts'
import { native, type Native } from './library.ts'

/** The kernel's own confinement of a walk, or why it is not to be had. */
export type Confinement =
  | { readonly works: true; calls(place: CallPlace): KernelCalls }
  | { readonly works: false; readonly reason: string }

/** What the kernel of this machine can confine. Looked up once. */
export function confinement(): Confinement {
  found ??= findConfinement(native())
  return found
}

/** As `confinement`, tried anew. */
export function findConfinement(code: Native): Confinement {
  if (!code.works) return code
  try {
    const functions = fileFunctions(code.libc)
    if (functions === undefined)
      return { works: false, reason: `no call numbers for ${process.platform} on ${process.arch}` }
    return tried(functions)
  } catch (error) {
    return { works: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

/** Opens a directory that the kernel lets nobody leave. */
export function openConfinedDirectory(
  kernel: Confinement & { readonly works: true },
  { realPath, confined = true, place }: OpenDirectoryOptions,
): OpenDirectory {
  const flags = flagBits.O_PATH | constants.O_DIRECTORY
  const atOnce = kernel.calls({ inline: true, limiter: place.limiter })
  const root = atOnce.open(currentDirectory, nameFromText(realPath), { flags, resolve: 0 })
  // Told to be inline, it answers at once.
  if (typeof root !== 'number') throw new TypeError('An inline call answered later')
  if (root < 0) throw fileErrorOf(root, `Cannot open the directory "${realPath}"`)
  const resolve = confined ? flagBits.RESOLVE_IN_ROOT | flagBits.RESOLVE_NO_MAGICLINKS : 0
  return { ...createConfinedCalls(kernel.calls(place), root, resolve), close: () => atOnce.close(root) }
}

/** A constant once it is known. */
let found: Confinement | undefined

const currentDirectory = -100

/** A container profile may forbid what the kernel knows: only trying tells. */
function tried(functions: FileFunctions): Confinement {
  // One for all directories: whoever uses its memory is done before anybody else comes.
  const atOnce = createInlineLane()
  const inline = createKernelCalls(functions, atOnce)
  const how = { flags: flagBits.O_PATH, resolve: flagBits.RESOLVE_IN_ROOT | flagBits.RESOLVE_NO_MAGICLINKS }
  const fd = inline.open(currentDirectory, '.', how)
  if (typeof fd !== 'number' || fd < 0) return refused('openat2', fd)
  const status = inline.attributes(fd, '', flagBits.AT_EMPTY_PATH)
  inline.close(fd)
  if (typeof status === 'number') return refused('statx', status)
  return {
    works: true,
    calls: (place) => createKernelCalls(functions, createLane(atOnce, place)),
  }
}

function refused(call: string, result: unknown): Confinement {
  const why = typeof result === 'number' ? fileErrorOf(result, `${call} does not work here`).message : call
  return { works: false, reason: why }
}
