import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { PluginError, messageOf } from '../base/errors.ts'
import { sameDigest, type Digest } from './checksum.ts'
import { largestManifestBytes, manifestName } from './manifest.ts'
import { fileIn } from './program.ts'

/** What was found where a program should lie. */
export type Source =
  | { readonly isFolder: false; readonly handle: FileHandle }
  | { readonly isFolder: true; readonly handle: undefined }

/** Opens a regular file, or says that there is a folder. A pipe or a device is neither, and is not waited for. */
export async function openSource(path: string, name: string): Promise<Source> {
  const handle = await openHandle(path, name)
  try {
    const stats = await handle.stat()
    if (stats.isFile()) return { isFolder: false, handle }
    if (!stats.isDirectory()) throw notAFile(name, path)
    await handle.close()
    return { isFolder: true, handle: undefined }
  } catch (error) {
    await handle.close().catch(() => {})
    throw error
  }
}

async function openHandle(path: string, name: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new PluginError(
      missing ? 'not-found' : 'not-executable',
      `Cannot start "${name}": ${missing ? `there is no "${path}"` : `"${path}" cannot be read: ${messageOf(error)}`}`,
      { cause: error },
    )
  }
}

function notAFile(name: string, path: string): PluginError {
  return new PluginError('not-executable', `Cannot start "${name}": "${path}" is not a regular file`)
}

/** Opens a regular file and gives it to `use`, closing it afterwards. A folder is refused. */
export async function withSourceFile<T>(
  path: string,
  name: string,
  use: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  const source = await openSource(path, name)
  if (source.isFolder) throw notAFile(name, path)
  try {
    return await use(source.handle)
  } finally {
    await source.handle.close()
  }
}

/** The bytes of the manifest of `folder`. */
export function readManifest(folder: string, name: string): Promise<Buffer> {
  return withSourceFile(fileIn(folder, manifestName), name, async (handle) => {
    const { size } = await handle.stat()
    if (size > largestManifestBytes)
      throw new PluginError(
        'manifest-invalid',
        `Cannot start "${name}": its plugin.json is larger than 4 MiB`,
      )
    const bytes = Buffer.alloc(size)
    const { bytesRead } = await handle.read(bytes, 0, size, 0)
    return bytes.subarray(0, bytesRead)
  })
}

/** Throws when a digest is not the approved one. Undefined: any will do. */
export function requireDigest(
  expected: Digest | undefined,
  actual: Digest,
  name: string,
  path: string,
): void {
  if (expected === undefined || sameDigest(expected, actual)) return
  throw new PluginError(
    'checksum-mismatch',
    `Cannot start "${name}": "${path}" has sha256 ${actual} and ${expected} is approved`,
  )
}

/**
 * Throws when the bytes are no program of this system. Whatever starts programs hands such a file to a shell instead,
 * which would make what it can of them.
 */
export function requireNative(head: Buffer, name: string, path: string): void {
  if (process.platform !== 'linux') return
  const refuse = (why: string): never => {
    throw new PluginError('not-executable', `Cannot start "${name}": "${path}" ${why}`)
  }
  if (head.length < 20 || head.readUInt32BE(0) !== elf)
    refuse('is neither a program of this system nor a script with a first line "#!"')
  const machine = head[5] === 1 ? head.readUInt16LE(18) : head.readUInt16BE(18)
  const own = machines[process.arch]
  if (own !== undefined && machine !== own) refuse('was built for another processor')
}

/** The first four bytes of a program, and the number of this processor in it. */
const elf = 0x7f454c46
const machines: Readonly<Record<string, number>> = { x64: 62, arm64: 183 }

/** Throws when nobody may execute the file. */
export async function requireExecutable(handle: FileHandle, name: string, path: string): Promise<void> {
  const { mode } = await handle.stat()
  if ((mode & 0o111) !== 0) return
  throw new PluginError(
    'not-executable',
    `Cannot start "${name}": "${path}" is not executable; allow it with chmod +x`,
  )
}
