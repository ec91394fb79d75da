import assert from 'node:assert/strict'
import { FileError, type FileErrorCode } from '../../base/errors.ts'
import type { OpenIntent } from '../../base/file.ts'
import type { Soon } from '../../base/soon.ts'
import { virtualPath, type VirtualPath } from '../../base/virtual-path.ts'
import type { Backend } from '../backend.ts'

/** One sentence of the backend contract, runnable against any backend. */
export interface BackendCase {
  readonly sentence: string
  /** Takes an empty backend and leaves it in some state. Throws where the backend breaks its word. */
  run(backend: Backend): Promise<void>
}

/** A path written as text, one character per byte. */
export function at(path: string): VirtualPath {
  return virtualPath(path)
}

/** Opens to read and write, makes the file where it is missing; `changes` says otherwise. */
export function intent(changes: Partial<OpenIntent> = {}): OpenIntent {
  const usual = { read: true, write: true, append: false, create: true, truncate: false, exclusive: false }
  return { ...usual, mode: 0o600, ...changes }
}

/** Opens to read what is there. */
export const toRead: OpenIntent = intent({ write: false, create: false })

/** Makes a file that holds `text`. */
export async function put(backend: Backend, path: string, text: string): Promise<void> {
  const file = await backend.open(at(path), intent({ truncate: true }))
  try {
    await file.write([Buffer.from(text, 'latin1')], 0)
  } finally {
    await file.close()
  }
}

/** All that a file holds, as text. */
export async function get(backend: Backend, path: string): Promise<string> {
  const file = await backend.open(at(path), toRead)
  const into = Buffer.alloc(65_536)
  let length = 0
  for (;;) {
    const read = await file.read(into.subarray(length), length)
    if (read === 0) break
    length += read
  }
  await file.close()
  return into.toString('latin1', 0, length)
}

/** The names in a directory, sorted. */
export async function namesIn(backend: Backend, path: string, most = 100): Promise<readonly string[]> {
  const listing = await backend.list(at(path))
  const names: string[] = []
  for (;;) {
    const entries = await listing.next(most)
    if (entries.length === 0) break
    names.push(...entries.map((entry) => entry.name))
  }
  assert.deepEqual(await listing.next(most), [], 'A listing that ended stays at its end')
  await listing.close()
  return names.sort()
}

/** Holds when `action` fails, now or later, with a `FileError` of one of `codes`. */
export async function fails(action: () => Soon<unknown>, ...codes: FileErrorCode[]): Promise<void> {
  try {
    await action()
  } catch (error) {
    assert.ok(error instanceof FileError, `Throws a FileError, not ${String(error)}`)
    assert.ok(
      codes.includes(error.code),
      `Fails with ${codes.join(' or ')}, not ${error.code}: ${error.message}`,
    )
    return
  }
  assert.fail(`Has to fail with ${codes.join(' or ')}`)
}

/** Holds when nothing has the name `path`. */
export function missing(backend: Backend, path: string): Promise<void> {
  return fails(() => backend.attributes(at(path), { follow: false }), 'not-found')
}
