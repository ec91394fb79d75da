import { PackageError } from '../base/errors.ts'

/** What the name of an archive says: `acme-auth-1.2.0-linux-amd64.tgz`, or `-any.tgz` for every platform. */
export interface ArchiveName {
  readonly name: string
  readonly version: string
  readonly platform: Platform
}

/** An operating system and processor in Go's words, or all of them. */
export type Platform = 'any' | `${'linux' | 'darwin' | 'windows'}-${'amd64' | 'arm64'}`

/**
 * The one expression that reads archive names. A name is lower case and starts with a letter, a version is
 * semantic, and what comes last is the platform; nothing is ever guessed from a name beyond these three.
 */
const pattern =
  /^([a-z][a-z0-9]*(?:-[a-z0-9]+)*)-(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+?)?)-((?:linux|darwin|windows)-(?:amd64|arm64)|any)\.tgz$/

/** Names of packages: as archive names allow them, at most 64 characters. */
const packageName = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/

/** Reads the name of an archive. Throws `name-invalid` and shows the expected form. */
export function parseArchiveName(file: string): ArchiveName {
  const [, name, version, platform] = pattern.exec(file) ?? []
  if (name === undefined || version === undefined || platform === undefined) {
    throw new PackageError('name-invalid', `Cannot install "${file}": ${expected(file)}`)
  }
  return { name, version, platform: platform as Platform } // the expression lets nothing else through
}

/** The name of the archive that holds this. */
export function formatArchiveName({ name, version, platform }: ArchiveName): string {
  return `${name}-${version}-${platform}.tgz`
}

/** Throws `name-invalid` unless `name` can name a package. */
export function checkPackageName(name: string): string {
  if (packageName.test(name) && name.length <= 64) return name
  const rule = 'lower case letters, digits and single dashes, first a letter, at most 64 characters'
  throw new PackageError('name-invalid', `"${name}" cannot name a package: ${rule}`)
}

/** The platform that this process runs on; undefined where we know no name for it. */
export function currentPlatform(
  os: string = process.platform,
  processor: string = process.arch,
): Platform | undefined {
  const arch = { x64: 'amd64', arm64: 'arm64' }[processor]
  const system = { linux: 'linux', darwin: 'darwin', win32: 'windows' }[os]
  if (arch === undefined || system === undefined) return undefined
  return `${system}-${arch}` as Platform // both halves come from the tables above
}

function expected(file: string): string {
  const form =
    'an archive is named NAME-VERSION-OS-ARCH.tgz, such as "acme-auth-1.2.0-linux-amd64.tgz" or "acme-auth-1.2.0-any.tgz"'
  if (/\.zip$/i.test(file)) return `it is a zip; ${form}`
  if (/\.(tar\.gz|tar|tar\.xz)$/i.test(file)) return `its ending is another; ${form}`
  return form
}
