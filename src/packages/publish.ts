import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { PackageError } from '../base/errors.ts'
import { formatArchiveName, parseArchiveName } from './archive-name.ts'
import {
  emptyIndex,
  formatPublicKey,
  indexLifeMs,
  largestIndexBytes,
  readSignedIndex,
  signIndex,
  type CatalogIndex,
} from './catalog-index.ts'
import type { CatalogSource } from './catalog-source.ts'
import { createPackageStore, type StoredPackage } from './store.ts'

/** A place to publish to, and the key that vouches for it. */
export interface Publisher {
  readonly source: CatalogSource
  readonly privateKey: KeyObject
  readonly clock: Clock
}

/** Makes the key of a new catalog and keeps it in `file`, readable by its owner only. Returns the public half. */
export async function createCatalogKey(file: string): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' })
  return formatPublicKey(publicKey)
}

/** Reads a catalog's private key; a file that others can read is refused. */
export async function readCatalogKey(file: string): Promise<KeyObject> {
  const { mode } = await stat(file)
  if ((mode & 0o077) !== 0)
    throw new PackageError('bad-signature', `Cannot use "${file}": others than its owner can read it`)
  const key = createPrivateKey(await readFile(file))
  if (key.asymmetricKeyType !== 'ed25519')
    throw new PackageError('bad-signature', `"${file}" holds no Ed25519 key`)
  return key
}

/** Puts archives into the catalog and signs its index anew. A version that is there already with other bytes is refused. */
export async function publish(archives: readonly string[], publisher: Publisher): Promise<CatalogIndex> {
  const folder = await mkdtemp(join(tmpdir(), 'sftpgo-ts-publish-'))
  try {
    const store = createPackageStore(folder)
    let index = await currentIndex(publisher)
    for (const archive of archives)
      index = withArchive(index, archive, await store.add(archive), {
        now: publisher.clock.now(),
        bytes: (await stat(archive)).size,
      })
    for (const archive of archives) await write(publisher, archiveFile(archive), await readFile(archive))
    return await writeIndex(index, publisher)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Marks a version as one that nobody should install or keep, with the reason. */
export async function revoke(
  name: string,
  version: string,
  reason: string,
  publisher: Publisher,
): Promise<CatalogIndex> {
  const index = await currentIndex(publisher)
  const known = index.packages[name]?.versions[version]
  if (known === undefined) throw new PackageError('not-found', `The catalog has no "${name}" ${version}`)
  return writeIndex(withVersion(index, name, version, { ...known, revoked: reason }), publisher)
}

function withArchive(
  index: CatalogIndex,
  archive: string,
  { manifest, archiveSha256, manifestSha256 }: StoredPackage,
  { now, bytes }: { readonly now: number; readonly bytes: number },
): CatalogIndex {
  const { name, version, platform } = parseArchiveName(basename(archive))
  if (manifest.name !== name || manifest.version !== version) {
    throw new PackageError(
      'manifest-invalid',
      `"${basename(archive)}" holds "${manifest.name}" ${manifest.version}`,
    )
  }
  const offer = index.packages[name]
  if (offer !== undefined && offer.slot !== manifest.slot) {
    throw new PackageError(
      'wrong-slot',
      `"${name}" fills the slot "${offer.slot}" in this catalog, the new one "${manifest.slot}"`,
    )
  }
  const known = offer?.versions[version]
  const before = known?.archives[platform]
  if (before !== undefined && before.sha256 !== archiveSha256) {
    throw new PackageError(
      'version-exists',
      `The catalog has other bytes for "${name}" ${version} on ${platform}: publish a new version`,
    )
  }
  const entry = { file: archiveFile(archive), sha256: archiveSha256, bytes, manifestSha256 }
  const described = {
    ...index,
    packages: {
      ...index.packages,
      [name]: { versions: {}, ...offer, slot: manifest.slot, description: manifest.description },
    },
  }
  return withVersion(described, name, version, {
    published: known?.published ?? now,
    protocol: manifest.protocol,
    ...(manifest.engine === undefined ? {} : { engine: manifest.engine }),
    ...(known?.revoked === undefined ? {} : { revoked: known.revoked }),
    archives: { ...known?.archives, [platform]: entry },
  })
}

function withVersion(
  index: CatalogIndex,
  name: string,
  version: string,
  value: CatalogIndex['packages'][string]['versions'][string],
): CatalogIndex {
  const offer = index.packages[name]
  if (offer === undefined) return index
  return {
    ...index,
    packages: { ...index.packages, [name]: { ...offer, versions: { ...offer.versions, [version]: value } } },
  }
}

/** What is there now, if this key signed it. */
async function currentIndex({ source, privateKey }: Publisher): Promise<CatalogIndex> {
  const bytes = await source.read('index.json', largestIndexBytes)
  if (bytes === undefined) return emptyIndex
  const signature = await source.read('index.json.sig', 1024)
  return readSignedIndex(
    { bytes, signature: signature?.toString('utf8').trim() ?? '' },
    createPublicKey(privateKey),
  )
}

async function writeIndex(index: CatalogIndex, publisher: Publisher): Promise<CatalogIndex> {
  const now = publisher.clock.now()
  const next = { ...index, sequence: index.sequence + 1, issued: now, expires: now + indexLifeMs }
  const { bytes, signature } = signIndex(next, publisher.privateKey)
  await write(publisher, 'index.json.sig', Buffer.from(`${signature}\n`))
  await write(publisher, 'index.json', bytes)
  await write(
    publisher,
    'catalog.pub',
    Buffer.from(`${formatPublicKey(createPublicKey(publisher.privateKey))}\n`),
  )
  return next
}

async function write({ source }: Publisher, file: string, bytes: Buffer): Promise<void> {
  if (source.write === undefined)
    throw new PackageError('unreachable', 'Cannot publish there: it can only be read')
  await source.write(file, bytes)
}

function archiveFile(archive: string): string {
  return formatArchiveName(parseArchiveName(basename(archive)))
}
