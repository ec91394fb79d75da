import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import semver from 'semver'
import { PackageError } from '../base/errors.ts'
import { checkPackageName, parseArchiveName, type Platform } from './archive-name.ts'
import { isInRange } from './version-range.ts'

/**
 * What a catalog offers: one signed file, read whole. It names archives by digest, so an archive may come from
 * anywhere; and it carries a number that only grows, so an old index is never taken for news.
 */
export interface CatalogIndex {
  readonly format: 1
  /** Grows with every change. */
  readonly sequence: number
  /** When it was signed and when it stops being believed, in milliseconds since 1970. */
  readonly issued: number
  readonly expires: number
  readonly packages: Readonly<Record<string, CatalogPackage>>
}

/** The versions of one package. */
export interface CatalogPackage {
  readonly slot: string
  readonly description: string
  readonly versions: Readonly<Record<string, CatalogVersion>>
}

/** One version, published once and never changed; it can only be revoked. */
export interface CatalogVersion {
  readonly published: number
  readonly protocol: number
  readonly engine?: string
  /** Why nobody should run it any more. */
  readonly revoked?: string
  readonly archives: Readonly<Partial<Record<Platform, CatalogArchive>>>
}

/** Where an archive lies, relative to the index, and what it is. */
export interface CatalogArchive {
  readonly file: string
  readonly sha256: string
  readonly bytes: number
  /** The digest of the plugin.json inside, so that a lock made on one machine holds on all. Older indexes lack it. */
  readonly manifestSha256?: string
}

/** How long an index is believed unless its publisher says otherwise: thirty days. */
export const indexLifeMs = 30 * 24 * 60 * 60 * 1000

/** Largest index that is read. */
export const largestIndexBytes = 16 << 20

/** An index with nothing in it. */
export const emptyIndex: CatalogIndex = { format: 1, sequence: 0, issued: 0, expires: 0, packages: {} }

/** The bytes of an index and their signature. */
export interface SignedIndex {
  readonly bytes: Buffer
  /** Ed25519 over the bytes, base64. */
  readonly signature: string
}

/** Writes and signs an index. */
export function signIndex(index: CatalogIndex, privateKey: KeyObject): SignedIndex {
  const bytes = Buffer.from(`${JSON.stringify(index, null, 1)}\n`)
  return { bytes, signature: sign(null, bytes, privateKey).toString('base64') }
}

/** Checks the signature, then reads. Throws `bad-signature`, or `manifest-invalid` when a trusted hand wrote nonsense. */
export function readSignedIndex({ bytes, signature }: SignedIndex, publicKey: KeyObject): CatalogIndex {
  if (!verify(null, bytes, publicKey, Buffer.from(signature, 'base64'))) {
    throw new PackageError('bad-signature', 'The catalog index is not signed by the key that was trusted')
  }
  return parseIndex(bytes)
}

/** An Ed25519 public key as one line, `ed25519:BASE64`. */
export function formatPublicKey(key: KeyObject): string {
  return `ed25519:${key.export({ type: 'spki', format: 'der' }).subarray(-32).toString('base64')}`
}

/** Reads what `formatPublicKey` wrote. */
export function parsePublicKey(text: string): KeyObject {
  const raw = Buffer.from(/^ed25519:([A-Za-z0-9+/]{43}=)$/.exec(text.trim())?.[1] ?? '', 'base64')
  if (raw.length !== 32)
    throw new PackageError('bad-signature', 'A catalog key is written "ed25519:" and 44 characters of base64')
  // The fixed head of an Ed25519 SubjectPublicKeyInfo (RFC 8410), then the key.
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw])
  return createPublicKey({ key: der, format: 'der', type: 'spki' })
}

/** The newest version in `range` for `platform` that is neither revoked nor, unless the range says so, a pre-release. */
export function newestVersion(
  offer: CatalogPackage,
  {
    range,
    platform,
    server,
  }: { readonly range: string; readonly platform: Platform; readonly server: string },
): string | undefined {
  const usable = Object.entries(offer.versions).filter(([, version]) => {
    if (version.revoked !== undefined || version.protocol !== 1) return false
    if (version.engine !== undefined && !isInRange(server, version.engine)) return false
    return archiveFor(version, platform) !== undefined
  })
  return (
    semver.maxSatisfying(
      usable.map(([version]) => version),
      range,
    ) ?? undefined
  )
}

/** The archive for `platform`, or the one for all. */
export function archiveFor(version: CatalogVersion, platform: Platform): CatalogArchive | undefined {
  return version.archives[platform] ?? version.archives.any
}

function parseIndex(bytes: Buffer): CatalogIndex {
  const value: unknown = JSON.parse(bytes.toString('utf8'))
  if (!isObject(value) || value['format'] !== 1) throw wrong('its format is not 1')
  const packages = value['packages']
  if (!isObject(packages)) throw wrong('"packages" is missing')
  return {
    format: 1,
    ...{
      sequence: whole(value, 'sequence'),
      issued: whole(value, 'issued'),
      expires: whole(value, 'expires'),
    },
    packages: Object.fromEntries(
      Object.entries(packages).map(([name, one]) => [checkPackageName(name), parsePackage(name, one)]),
    ),
  }
}

function parsePackage(name: string, value: unknown): CatalogPackage {
  if (!isObject(value) || !isObject(value['versions'])) throw wrong(`"${name}" has no versions`)
  const versions = Object.entries(value['versions']).map(([version, one]) => {
    if (semver.valid(version) !== version) throw wrong(`"${name}" has a version "${version}"`)
    return [version, parseVersion(name, version, one)] as const
  })
  return {
    slot: text(value, 'slot'),
    description: text(value, 'description'),
    versions: Object.fromEntries(versions),
  }
}

function parseVersion(name: string, version: string, value: unknown): CatalogVersion {
  if (!isObject(value) || !isObject(value['archives'])) throw wrong(`"${name}" ${version} has no archives`)
  const archives = Object.values(value['archives']).map((one) => parseArchive(name, version, one))
  return {
    ...{ published: whole(value, 'published'), protocol: whole(value, 'protocol') },
    ...(typeof value['engine'] === 'string' && semver.validRange(value['engine']) !== null
      ? { engine: value['engine'] }
      : {}),
    ...(typeof value['revoked'] === 'string' ? { revoked: value['revoked'] } : {}),
    archives: Object.fromEntries(archives),
  }
}

/** The file's own name must say the same as its place in the index. */
function parseArchive(name: string, version: string, value: unknown): readonly [Platform, CatalogArchive] {
  if (!isObject(value)) throw wrong(`"${name}" ${version} has an archive that is no object`)
  const file = text(value, 'file')
  const named = parseArchiveName(file.slice(file.lastIndexOf('/') + 1))
  if (named.name !== name || named.version !== version)
    throw wrong(`"${name}" ${version} points to "${file}"`)
  const sha256 = text(value, 'sha256')
  if (!isDigest(sha256)) throw wrong(`"${file}" has no SHA-256`)
  const { manifestSha256 } = value
  return [
    named.platform,
    {
      ...{ file, sha256, bytes: whole(value, 'bytes') },
      ...(isDigest(manifestSha256) && { manifestSha256 }),
    },
  ]
}

function isDigest(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}

function whole(value: Readonly<Record<string, unknown>>, key: string): number {
  const number = value[key]
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number
  throw wrong(`"${key}" is no whole number`)
}

function text(value: Readonly<Record<string, unknown>>, key: string): string {
  const one = value[key]
  if (typeof one === 'string' && one.length <= 2000) return one
  throw wrong(`"${key}" is no text`)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function wrong(reason: string): PackageError {
  return new PackageError('manifest-invalid', `Cannot read the catalog index: ${reason}`)
}
