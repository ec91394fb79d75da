import { PackageError } from '../base/errors.ts'
import { currentPlatform, type Platform } from './archive-name.ts'
import type { Lock, LockedPlugin } from './lock.ts'
import type { PackageStore, StoredPackage } from './store.ts'
import { isInRange } from './version-range.ts'

/** A configuration entry that names a package instead of a file. */
export interface DeclaredPackage {
  /** `NAME` or `CATALOG/NAME`. */
  readonly source: string
  /** An npm range; absent: whatever is locked. */
  readonly version?: string
  readonly type: string
}

/**
 * What a declared package runs: only what the lock names and the store holds. Nothing is ever downloaded here,
 * because a restart must not change what runs.
 */
export async function lockedPackage(
  declared: DeclaredPackage,
  {
    lock,
    store,
    platform = currentPlatform(),
  }: { readonly lock: Lock; readonly store: PackageStore; readonly platform?: Platform | undefined },
): Promise<StoredPackage> {
  const name = declared.source.split('/').at(-1)
  const locked = name === undefined ? undefined : lock.plugins[name]
  const command = `sftpgo-ts plugin install ${declared.source}${declared.version === undefined ? '' : `@${declared.version}`}`
  if (name === undefined || locked === undefined)
    throw new PackageError('not-locked', `"${declared.source}" is not in the lock: run "${command}"`)
  const unfit = whyUnfit(locked, declared)
  if (unfit !== undefined)
    throw new PackageError('not-locked', `"${name}" is locked ${unfit}: run "${command}"`)
  if (locked.slot !== declared.type)
    throw new PackageError(
      'wrong-slot',
      `"${name}" fills the slot "${locked.slot}", the entry says "${declared.type}"`,
    )
  const archive = (platform === undefined ? undefined : locked.platforms[platform]) ?? locked.platforms.any
  if (archive === undefined)
    throw new PackageError(
      'no-such-platform',
      `"${name}" ${locked.version} is not locked for this platform: run "${command}"`,
    )
  const stored = await store.find(archive.archiveSha256)
  if (stored === undefined)
    throw new PackageError(
      'not-found',
      `"${name}" ${locked.version} is locked but not here: run "${command}"`,
    )
  if (stored.manifestSha256 !== archive.manifestSha256)
    throw new PackageError('digest-mismatch', `The stored plugin.json of "${name}" is not the locked one`)
  return stored
}

/** Why what is locked is not what an entry declares; undefined when it is. */
export function whyUnfit(
  locked: LockedPlugin,
  { source, version }: { readonly source: string; readonly version?: string | undefined },
): string | undefined {
  const [catalog] = source.includes('/') ? source.split('/', 1) : [undefined]
  if (catalog !== undefined && locked.from !== catalog) return `from "${locked.from}", not from "${catalog}"`
  if (version !== undefined && !isInRange(locked.version, version))
    return `at ${locked.version}, outside "${version}"`
  return undefined
}
