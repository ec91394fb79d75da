import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import semver from 'semver'
import { PackageError } from '../base/errors.ts'
import { currentPlatform, parseArchiveName, type Platform } from './archive-name.ts'
import { defaultArchiveLimits } from './archive.ts'
import { archiveFor, newestVersion } from './catalog-index.ts'
import { offerOf, type Catalogs } from './catalogs.ts'
import { readLock, withLocked, writeLock, type LockedPlugin } from './lock.ts'
import { checkCompatible } from './package-manifest.ts'
import type { PackageStore, StoredPackage } from './store.ts'

/** What installing works with. */
export interface Installer {
  readonly store: PackageStore
  readonly catalogs: Catalogs
  /** The lock beside the configuration. */
  readonly lockFile: string
  /** A private folder for downloads. */
  readonly downloads: string
  /** This server's version, for engine ranges. */
  readonly serverVersion: string
  /** Default: the platform of this process. */
  readonly platform?: Platform
}

/** What was installed. */
export interface Installed {
  readonly stored: StoredPackage
  readonly locked: LockedPlugin
  /** What was locked before. */
  readonly before: LockedPlugin | undefined
}

/** Installs an archive that lies here: it verifies itself, so that what is trusted is the hand that gave it. */
export async function installArchive(archive: string, installer: Installer): Promise<Installed> {
  const named = parseArchiveName(basename(archive))
  checkPlatform(named.platform, installer)
  const stored = await installer.store.add(archive)
  if (stored.manifest.name !== named.name || stored.manifest.version !== named.version) {
    throw new PackageError(
      'manifest-invalid',
      `"${basename(archive)}" holds "${stored.manifest.name}" ${stored.manifest.version}`,
    )
  }
  return keep(stored, { from: 'file', platform: named.platform }, installer)
}

/** Installs `NAME`, `CATALOG/NAME`, `NAME@RANGE` from a catalog: the newest that fits, is no pre-release and not revoked. */
export async function installFromCatalog(wanted: string, installer: Installer): Promise<Installed> {
  const at = wanted.indexOf('@', 1)
  const [name, range] = at < 0 ? [wanted, '*'] : [wanted.slice(0, at), wanted.slice(at + 1)]
  if (semver.validRange(range) === null)
    throw new PackageError('name-invalid', `"${range}" is no range of versions such as "^1.2"`)
  const found = offerOf(name, await installer.catalogs.offers())
  const platform = platformOf(installer)
  const version = newestVersion(found.offer, { range, platform, server: installer.serverVersion })
  if (version === undefined) throw nothingFits(found, range, installer)
  const archive = archiveFor(
    found.offer.versions[version] ?? { published: 0, protocol: 1, archives: {} },
    platform,
  )
  if (archive === undefined) throw nothingFits(found, range, installer)
  const stored =
    (await installer.store.find(archive.sha256)) ?? (await download(found.source, archive, installer))
  if (stored.manifest.name !== found.name || stored.manifest.version !== version) {
    throw new PackageError(
      'manifest-invalid',
      `The catalog's "${found.name}" ${version} holds "${stored.manifest.name}" ${stored.manifest.version}`,
    )
  }
  const origin = {
    from: found.entry.name,
    signer: found.entry.key,
    platform: parseArchiveName(basename(archive.file)).platform,
  }
  return keep(stored, origin, installer)
}

/** Takes a package out of the lock; the store keeps its bytes until `gc`. */
export async function forget(name: string, installer: Installer): Promise<LockedPlugin> {
  const lock = await readLock(installer.lockFile)
  const locked = lock.plugins[name]
  if (locked === undefined) throw new PackageError('not-found', `"${name}" is not installed`)
  await writeLock(installer.lockFile, withLocked(lock, name, undefined))
  return locked
}

async function download(
  source: { fetch(file: string, target: string, mostBytes: number): Promise<void> },
  archive: { readonly file: string; readonly sha256: string },
  { store, downloads }: Installer,
): Promise<StoredPackage> {
  await mkdir(downloads, { recursive: true, mode: 0o700 })
  const part = join(downloads, `part-${randomBytes(8).toString('hex')}.tgz`)
  try {
    await source.fetch(archive.file, part, defaultArchiveLimits.packedBytes)
    return await store.add(part, archive.sha256)
  } finally {
    await rm(part, { force: true })
  }
}

async function keep(
  stored: StoredPackage,
  {
    from,
    signer,
    platform,
  }: { readonly from: string; readonly signer?: string; readonly platform: Platform },
  installer: Installer,
): Promise<Installed> {
  const { manifest, archiveSha256, manifestSha256 } = stored
  checkCompatible(manifest, installer.serverVersion)
  const lock = await readLock(installer.lockFile)
  const before = lock.plugins[manifest.name]
  const others = before?.version === manifest.version && before.from === from ? before.platforms : {}
  const locked: LockedPlugin = {
    ...{ version: manifest.version, slot: manifest.slot, protocol: manifest.protocol, from },
    ...(signer === undefined ? {} : { signer }),
    platforms: { ...others, [platform]: { archiveSha256, manifestSha256 } },
  }
  await writeLock(installer.lockFile, withLocked(lock, manifest.name, locked))
  return { stored, locked, before }
}

function platformOf({ platform }: Installer): Platform {
  const here = platform ?? currentPlatform()
  if (here === undefined)
    throw new PackageError(
      'no-such-platform',
      `There are no packages for ${process.platform} on ${process.arch}`,
    )
  return here
}

function checkPlatform(platform: Platform, installer: Installer): void {
  const here = platformOf(installer)
  if (platform !== 'any' && platform !== here)
    throw new PackageError('no-such-platform', `The archive is for ${platform}, this machine is ${here}`)
}

/** Why no version fits, as exactly as the index tells. */
function nothingFits(
  { name, offer }: { readonly name: string; readonly offer: Parameters<typeof newestVersion>[0] },
  range: string,
  installer: Installer,
): PackageError {
  const platform = platformOf(installer)
  const inRange = Object.entries(offer.versions).filter(([version]) => semver.satisfies(version, range))
  if (inRange.length === 0) {
    const versions = Object.keys(offer.versions).join(', ')
    return new PackageError(
      'not-found',
      `No version of "${name}" is in the range "${range}"; there are ${versions}`,
    )
  }
  const alive = inRange.filter(([, version]) => version.revoked === undefined)
  const [, last] = inRange.at(-1) ?? []
  if (alive.length === 0)
    return new PackageError(
      'revoked',
      `Every version of "${name}" in the range "${range}" is revoked: ${last?.revoked ?? ''}`,
    )
  if (alive.every(([, version]) => archiveFor(version, platform) === undefined)) {
    return new PackageError('no-such-platform', `"${name}" has no archive for ${platform}`)
  }
  return new PackageError(
    'incompatible',
    `No version of "${name}" in the range "${range}" runs in server version ${installer.serverVersion}`,
  )
}
