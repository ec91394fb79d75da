import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import semver from 'semver'
import { PackageError } from '../base/errors.ts'
import { parseProgramManifest } from '../host/manifest.ts'
import type { Platform } from './archive-name.ts'
import { archiveDigest, defaultArchiveLimits, unpackArchive, type ArchiveLimits } from './archive.ts'
import { parsePackageManifest, type PackageManifest } from './package-manifest.ts'

/** The server's own copies of packages, each under the digest of its archive. What lies there is verified again before every start. */
export interface PackageStore {
  /** Unpacks an archive whose digest was decided elsewhere; other bytes are refused. Unpacking twice changes nothing. */
  add(archive: string, sha256?: string): Promise<StoredPackage>
  /** The package of this archive digest, or undefined. */
  find(sha256: string): Promise<StoredPackage | undefined>
  list(): Promise<readonly StoredPackage[]>
  remove(sha256: string): Promise<void>
  /** Writes down where a stored package came from, for when an older version is taken again. */
  noteOrigin(sha256: string, origin: PackageOrigin): Promise<void>
  /** What was written down; undefined where nothing was. */
  originOf(sha256: string): Promise<PackageOrigin | undefined>
}

/** Who handed a package over. */
export interface PackageOrigin {
  /** The catalog's name, or `file`. */
  readonly from: string
  /** The key that vouched for it. */
  readonly signer?: string
  /** What the archive's name says. */
  readonly platform: Platform
}

/** A package that lies in the store. */
export interface StoredPackage {
  readonly manifest: PackageManifest
  readonly folder: string
  readonly archiveSha256: string
  /** The digest of its plugin.json: what a configuration entry's `sha256sum` is. */
  readonly manifestSha256: string
}

/** Where the package of this archive digest lies in a store, if it is there. */
export function packageFolder(store: string, sha256: string): string {
  return join(store, `sha256-${sha256}`)
}

/** Opens the store that lies in `folder`. */
export function createPackageStore(
  folder: string,
  limits: ArchiveLimits = defaultArchiveLimits,
): PackageStore {
  const placeOf = (sha256: string): string => packageFolder(folder, sha256)
  const originFile = (sha256: string): string => `${placeOf(sha256)}.origin.json`
  const find = async (sha256: string): Promise<StoredPackage | undefined> => {
    if (!/^[0-9a-f]{64}$/.test(sha256) || !(await isFolder(placeOf(sha256)))) return undefined
    return describe(placeOf(sha256), sha256)
  }
  return {
    find,
    async add(archive, expected) {
      const sha256 = await archiveDigest(archive, limits)
      if (expected !== undefined && sha256 !== expected) {
        throw new PackageError('digest-mismatch', `"${archive}" has the digest ${sha256}, not ${expected}`)
      }
      const there = await find(sha256)
      if (there !== undefined) return there
      makeFolders(folder, 0o700)
      const part = join(folder, `part-${randomBytes(8).toString('hex')}`)
      await mkdir(part, { mode: 0o700 })
      try {
        await unpackArchive(archive, part, limits)
        await checkFiles(part)
        await syncFolder(part)
        await rename(part, placeOf(sha256))
      } catch (error) {
        await rm(part, { recursive: true, force: true })
        // Somebody else installed the same bytes meanwhile.
        if (await isFolder(placeOf(sha256))) return describe(placeOf(sha256), sha256)
        throw error
      }
      return describe(placeOf(sha256), sha256)
    },
    async list() {
      const names = await readdir(folder).catch(() => [])
      const found = await Promise.all(
        names.map((name) => find(/^sha256-([0-9a-f]{64})$/.exec(name)?.[1] ?? '')),
      )
      return found
        .filter((one) => one !== undefined)
        .sort(
          (a, b) =>
            a.manifest.name.localeCompare(b.manifest.name) ||
            semver.compare(a.manifest.version, b.manifest.version),
        )
    },
    async remove(sha256) {
      await rm(placeOf(sha256), { recursive: true, force: true })
      await rm(originFile(sha256), { force: true })
    },
    async noteOrigin(sha256, origin) {
      const part = `${originFile(sha256)}.${randomBytes(8).toString('hex')}`
      await writeFile(part, JSON.stringify(origin), { mode: 0o600 })
      await rename(part, originFile(sha256))
    },
    async originOf(sha256) {
      const text = await readFile(originFile(sha256), 'utf8').catch(() => undefined)
      return text === undefined ? undefined : (JSON.parse(text) as PackageOrigin) // ours, in a private folder
    },
  }
}

async function describe(folder: string, archiveSha256: string): Promise<StoredPackage> {
  const bytes = await readFile(join(folder, 'plugin.json'))
  const manifestSha256 = createHash('sha256').update(bytes).digest('hex')
  return { manifest: parsePackageManifest(bytes.toString('utf8')), folder, archiveSha256, manifestSha256 }
}

/** Every file of the package is listed in its manifest with the digest that it has, and nothing else lies there. */
async function checkFiles(folder: string): Promise<void> {
  await boundText(folder, 'plugin.json')
  const bytes = await readFile(join(folder, 'plugin.json')).catch((cause: unknown) => {
    throw new PackageError('manifest-invalid', 'The archive has no plugin.json at its top', { cause })
  })
  const { name, settings } = parsePackageManifest(bytes.toString('utf8'))
  if (settings !== undefined) await boundText(folder, settings)
  const { files } = parseProgramManifest(bytes, name)
  const listed = new Map(files.map(({ path, sha256 }) => [path, sha256]))
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name).slice(folder.length + 1)
    if (path === 'plugin.json') continue
    const expected = listed.get(path)
    if (expected === undefined)
      throw new PackageError(
        'manifest-invalid',
        `The archive holds "${path}", which its plugin.json does not list`,
      )
    const found = createHash('sha256')
      .update(await readFile(join(folder, path)))
      .digest('hex')
    if (found !== expected)
      throw new PackageError('digest-mismatch', `"${path}" is not what the plugin.json says`)
    listed.delete(path)
  }
  const [missing] = listed.keys()
  if (missing !== undefined)
    throw new PackageError('manifest-invalid', `The archive lacks "${missing}", which its plugin.json lists`)
}

/** What is read whole and parsed, here and at each start, is never more than people write. */
const largestText = 1 << 20

async function boundText(folder: string, path: string): Promise<void> {
  const size = await stat(join(folder, path)).then(
    (found) => found.size,
    () => 0,
  )
  if (size > largestText)
    throw new PackageError('too-large', `"${path}" has ${size} bytes, at most ${largestText} are allowed`)
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
