import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import semver from 'semver'
import { PackageError } from '../base/errors.ts'
import { currentPlatform, parseArchiveName, type Platform } from './archive-name.ts'
import { defaultArchiveLimits, type ArchiveLimits } from './archive.ts'
import { archiveFor, newestVersion, type CatalogVersion } from './catalog-index.ts'
import { offerOf, type Catalogs } from './catalogs.ts'
import { changeLock, readLock, withLocked, type LockedArchive, type LockedPlugin } from './lock.ts'
import { checkCompatible } from './package-manifest.ts'
import type { PackageOrigin, PackageStore, StoredPackage } from './store.ts'

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
  /** Default: 64 MiB packed, 512 MiB unpacked, 2,000 entries. */
  readonly limits?: ArchiveLimits
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
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(archive))
    throw new PackageError(
      'not-found',
      `"${archive}" is an address: download the archive, or add the catalog that it is in`,
    )
  const named = parseArchiveName(basename(archive))
  if (!existsSync(archive)) throw new PackageError('not-found', `There is no file "${archive}"`)
  checkPlatform(named.platform, installer)
  const stored = await added(archive, undefined, installer)
  checkContent(stored, named.name, named.version)
  return keep(stored, { from: 'file', platform: named.platform }, installer)
}

/** A package of a catalog that lies in the store and is not locked yet. */
export interface Fetched {
  readonly stored: StoredPackage
  readonly origin: PackageOrigin
  /** What the signed index says of other machines. */
  readonly others: LockedPlugin['platforms']
  /** The newest version for this machine, whatever range was asked for. */
  readonly newest: string | undefined
}

/** Installs `NAME`, `CATALOG/NAME`, `NAME@RANGE` from a catalog: the newest that fits, is no pre-release and not revoked. */
export async function installFromCatalog(wanted: string, installer: Installer): Promise<Installed> {
  return lockFetched(await fetchFromCatalog(wanted, installer), installer)
}

/** As `installFromCatalog`, without touching the lock: what it would change can be looked at first. */
export async function fetchFromCatalog(wanted: string, installer: Installer): Promise<Fetched> {
  const at = wanted.indexOf('@', 1)
  const [name, range] = at < 0 ? [wanted, '*'] : [wanted.slice(0, at), wanted.slice(at + 1)]
  if (semver.validRange(range) === null)
    throw new PackageError('name-invalid', `"${range}" is no range of versions such as "^1.2"`)
  const found = offerOf(name, await installer.catalogs.offers())
  const platform = platformOf(installer)
  const server = installer.serverVersion
  const version = newestVersion(found.offer, { range, platform, server })
  const offered = version === undefined ? undefined : found.offer.versions[version]
  const archive = offered === undefined ? undefined : archiveFor(offered, platform)
  if (version === undefined || offered === undefined || archive === undefined)
    throw nothingFits(found, range, installer)
  const stored =
    (await installer.store.find(archive.sha256)) ?? (await download(found.source, archive, installer))
  checkContent(stored, found.name, version)
  checkCompatible(stored.manifest, server)
  return {
    stored,
    origin: {
      from: found.entry.name,
      signer: found.entry.key,
      platform: parseArchiveName(basename(archive.file)).platform,
    },
    others: otherPlatforms(offered),
    newest: newestVersion(found.offer, { range: '*', platform, server }),
  }
}

/** Locks what was fetched. */
export function lockFetched({ stored, origin, others }: Fetched, installer: Installer): Promise<Installed> {
  return keep(stored, origin, installer, others)
}

/**
 * Fetches exactly what the lock says of `name`: the same bytes, or nothing. A version that its catalog has withdrawn
 * since is refused.
 */
export async function installLocked(name: string, installer: Installer): Promise<Installed> {
  const locked = (await readLock(installer.lockFile)).plugins[name]
  if (locked === undefined) throw new PackageError('not-found', `"${name}" is not installed`)
  const platform = platformOf(installer)
  const archive = locked.platforms[platform] ?? locked.platforms.any
  if (archive === undefined)
    throw new PackageError('no-such-platform', `"${name}" ${locked.version} is not locked for ${platform}`)
  const stored = await installer.store.find(archive.archiveSha256)
  if (locked.from === 'file') {
    if (stored !== undefined) return { stored, locked, before: locked }
    throw new PackageError(
      'not-found',
      `"${name}" ${locked.version} came from a file: install the archive with sha256 ${archive.archiveSha256} again`,
    )
  }
  const { offer, source } = offerOf(`${locked.from}/${name}`, await installer.catalogs.offers())
  const offered = offer.versions[locked.version]
  if (offered?.revoked !== undefined)
    throw new PackageError('revoked', `"${name}" ${locked.version} is revoked: ${offered.revoked}`)
  if (stored !== undefined) return { stored, locked, before: locked }
  const there = offered === undefined ? undefined : archiveFor(offered, platform)
  if (there === undefined || there.sha256 !== archive.archiveSha256)
    throw new PackageError(
      'digest-mismatch',
      `The catalog "${locked.from}" has no archive of "${name}" ${locked.version} with the locked digest`,
    )
  const fetched = await download(source, there, installer)
  checkContent(fetched, name, locked.version)
  if (fetched.manifestSha256 !== archive.manifestSha256)
    throw new PackageError('digest-mismatch', `The plugin.json of "${name}" is not the locked one`)
  await noteOrigin(
    fetched,
    { ...locked, platform: parseArchiveName(basename(there.file)).platform },
    installer,
  )
  return { stored: fetched, locked, before: locked }
}

/** Locks a version that lies in the store already, with the origin that was written down when it came. */
export async function lockStored(stored: StoredPackage, installer: Installer): Promise<Installed> {
  const noted = await installer.store.originOf(stored.archiveSha256)
  return keep(stored, noted ?? { from: 'file', platform: 'any' }, installer)
}

/** Takes a package out of the lock; the store keeps its bytes until `gc`. */
export async function forget(name: string, installer: Installer): Promise<LockedPlugin> {
  const lock = await readLock(installer.lockFile)
  const locked = lock.plugins[name]
  if (locked === undefined) throw new PackageError('not-found', `"${name}" is not installed`)
  await changeLock(installer.lockFile, (now) => withLocked(now, name, undefined))
  return locked
}

/** Puts an archive into the store. A version never changes: other bytes under the same name and version are refused. */
async function added(
  archive: string,
  sha256: string | undefined,
  { store }: Installer,
): Promise<StoredPackage> {
  const before = await store.list()
  const stored = await store.add(archive, sha256)
  const { name, version } = stored.manifest
  const other = before.find(
    ({ manifest, archiveSha256 }) =>
      manifest.name === name && manifest.version === version && archiveSha256 !== stored.archiveSha256,
  )
  if (other === undefined) return stored
  await store.remove(stored.archiveSha256)
  throw new PackageError(
    'version-exists',
    `"${name}" ${version} is stored already with other bytes: raise its version, or run "sftpgo-ts plugin remove ${name}@${version}" first`,
  )
}

async function download(
  source: { fetch(file: string, target: string, mostBytes: number): Promise<void> },
  archive: { readonly file: string; readonly sha256: string },
  installer: Installer,
): Promise<StoredPackage> {
  const { downloads, limits = defaultArchiveLimits } = installer
  makeFolders(downloads, 0o700)
  const part = join(downloads, `part-${randomBytes(8).toString('hex')}.tgz`)
  try {
    await source.fetch(archive.file, part, limits.packedBytes)
    return await added(part, archive.sha256, installer)
  } finally {
    await rm(part, { force: true })
  }
}

async function keep(
  stored: StoredPackage,
  origin: PackageOrigin,
  installer: Installer,
  others: LockedPlugin['platforms'] = {},
): Promise<Installed> {
  const { manifest, archiveSha256, manifestSha256 } = stored
  const { from, signer, platform } = origin
  checkCompatible(manifest, installer.serverVersion)
  await noteOrigin(stored, origin, installer)
  let before: LockedPlugin | undefined
  let locked: LockedPlugin | undefined
  await changeLock(installer.lockFile, (lock) => {
    before = lock.plugins[manifest.name]
    const same = before?.version === manifest.version && before.from === from
    locked = {
      ...{ version: manifest.version, slot: manifest.slot, protocol: manifest.protocol, from },
      ...(signer === undefined ? {} : { signer }),
      platforms: {
        ...(same ? before?.platforms : {}),
        ...others,
        [platform]: { archiveSha256, manifestSha256 },
      },
    }
    return withLocked(lock, manifest.name, locked)
  })
  if (locked === undefined) throw new Error('the lock was not changed') // changeLock always asks
  return { stored, locked, before }
}

/** What a lock says about the machines that are not this one, as far as the signed index tells. */
function otherPlatforms({ archives }: CatalogVersion): LockedPlugin['platforms'] {
  const known = Object.entries(archives).flatMap(([platform, { sha256, manifestSha256 }]) =>
    manifestSha256 === undefined
      ? []
      : [[platform, { archiveSha256: sha256, manifestSha256 } satisfies LockedArchive] as const],
  )
  return Object.fromEntries(known)
}

function noteOrigin(stored: StoredPackage, origin: PackageOrigin, { store }: Installer): Promise<void> {
  const { from, signer, platform } = origin
  return store.noteOrigin(stored.archiveSha256, {
    ...{ from, platform },
    ...(signer === undefined ? {} : { signer }),
  })
}

/** What an archive is called by its file name or its catalog must be what it says of itself. */
function checkContent({ manifest }: StoredPackage, name: string, version: string): void {
  if (manifest.name === name && manifest.version === version) return
  throw new PackageError(
    'manifest-invalid',
    `The archive of "${name}" ${version} holds "${manifest.name}" ${manifest.version}`,
  )
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
