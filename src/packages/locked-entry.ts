import semver from 'semver'
import { PackageError } from '../base/errors.ts'
import { currentPlatform, type Platform } from './archive-name.ts'
import type { Lock } from './lock.ts'
import type { PackageStore, StoredPackage } from './store.ts'

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
  const [catalog, name] = declared.source.includes('/')
    ? declared.source.split('/', 2)
    : [undefined, declared.source]
  const locked = name === undefined ? undefined : lock.plugins[name]
  const command = `sftpgo-ts plugin install ${declared.source}${declared.version === undefined ? '' : `@${declared.version}`}`
  if (name === undefined || locked === undefined)
    throw new PackageError('not-locked', `"${declared.source}" is not in the lock: run "${command}"`)
  if (catalog !== undefined && locked.from !== catalog) {
    throw new PackageError(
      'not-locked',
      `"${name}" is locked from "${locked.from}", not from "${catalog}": run "${command}"`,
    )
  }
  if (
    declared.version !== undefined &&
    !semver.satisfies(locked.version, declared.version, { includePrerelease: true })
  ) {
    throw new PackageError(
      'not-locked',
      `"${name}" is locked at ${locked.version}, outside "${declared.version}": run "${command}"`,
    )
  }
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
