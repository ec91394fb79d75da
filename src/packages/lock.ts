import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { PackageError } from '../base/errors.ts'
import { checkPackageName, type Platform } from './archive-name.ts'

/** What may run, decided once and written down: the file to commit beside the configuration. */
export interface Lock {
  readonly format: 1
  readonly plugins: Readonly<Record<string, LockedPlugin>>
}

/** One package: the version that is used, what it is on each platform, and where it came from. */
export interface LockedPlugin {
  readonly version: string
  readonly slot: string
  readonly protocol: number
  /** The catalog's name, or `file` for an archive that was handed over. */
  readonly from: string
  /** The key that vouched for it; absent for a file. */
  readonly signer?: string
  readonly platforms: Readonly<Partial<Record<Platform, LockedArchive>>>
}

/** Digests of an archive and of the plugin.json inside, which lists the digest of every other file. */
export interface LockedArchive {
  readonly archiveSha256: string
  readonly manifestSha256: string
}

const emptyLock: Lock = { format: 1, plugins: {} }

/** Reads a lock file; a missing one locks nothing. */
export async function readLock(path: string): Promise<Lock> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return emptyLock
    throw error
  }
  return parseLock(path, text)
}

/**
 * Changes a lock file in one step, keys sorted, so that a diff shows what changed. Commands that run at the same time
 * change it one after the other.
 */
export async function changeLock(path: string, change: (lock: Lock) => Lock): Promise<void> {
  const part = `${path}.part`
  const file = await openAlone(part)
  try {
    const lock = change(await readLock(path))
    const plugins = Object.fromEntries(Object.entries(lock.plugins).sort(([a], [b]) => (a < b ? -1 : 1)))
    await file.writeFile(`${JSON.stringify({ ...lock, plugins }, null, 2)}\n`)
    await file.sync()
    await rename(part, path)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

/** The same lock with one entry changed, or taken out. */
export function withLocked(lock: Lock, name: string, entry: LockedPlugin | undefined): Lock {
  const { [name]: _old, ...others } = lock.plugins
  return { ...lock, plugins: entry === undefined ? others : { ...others, [name]: entry } }
}

/** The lock that a file's text says. Throws `manifest-invalid` for anything that is none. */
export function parseLock(path: string, text: string): Lock {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value) && value['format'] === 1 && isObject(value['plugins'])) {
      const plugins = Object.entries(value['plugins']).map(
        ([name, entry]) => [checkPackageName(name), parseEntry(entry)] as const,
      )
      return { format: 1, plugins: Object.fromEntries(plugins) }
    }
  } catch (cause) {
    throw broken(path, cause)
  }
  throw broken(path, undefined)
}

/** A change takes milliseconds: what is older was left by a process that was killed. */
const abandonedMs = 10_000

/** Makes a file that is not there yet; waits while another process has it. */
async function openAlone(part: string): ReturnType<typeof open> {
  for (;;) {
    try {
      return await open(part, 'wx', 0o644)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      const age =
        Date.now() -
        (await stat(part)
          .then(({ mtimeMs }) => mtimeMs)
          .catch(() => Date.now()))
      if (age > abandonedMs) await rm(part, { force: true })
      else await wait(20)
    }
  }
}

function parseEntry(value: unknown): LockedPlugin {
  if (!isObject(value) || !isObject(value['platforms'])) throw new Error('an entry has no platforms')
  const { version, slot, protocol, from, signer } = value
  if (
    typeof version !== 'string' ||
    typeof slot !== 'string' ||
    typeof protocol !== 'number' ||
    typeof from !== 'string'
  ) {
    throw new Error('an entry lacks version, slot, protocol or from')
  }
  const platforms = Object.entries(value['platforms']).map(([platform, one]) => {
    const { archiveSha256, manifestSha256 } = isObject(one) ? one : {}
    if (!isDigest(archiveSha256) || !isDigest(manifestSha256)) throw new Error('an archive has no digests')
    return [platform, { archiveSha256, manifestSha256 }] as const
  })
  return {
    ...{ version, slot, protocol, from, platforms: Object.fromEntries(platforms) },
    ...(typeof signer === 'string' ? { signer } : {}),
  }
}

function isDigest(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function broken(path: string, cause: unknown): PackageError {
  return new PackageError(
    'manifest-invalid',
    `Cannot read the lock "${path}": it is not what "plugin install" writes`,
    { cause },
  )
}
