import { createHash } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import { PackageError } from '../base/errors.ts'
import { formatArchiveName, type Platform } from './archive-name.ts'
import { packArchive, type PackedFile } from './archive.ts'
import { filesBelow, runBuild } from './build-plugin.ts'
import { bundlePlugin, type BundledPackage } from './bundle.ts'
import { type PackageManifest, parsePackageManifest } from './package-manifest.ts'
import { softwareBill } from './software-bill.ts'

/** How a folder becomes archives. */
export interface PackOptions {
  /** The author's folder: plugin.json and what it names. */
  readonly folder: string
  /** Where archives and checksums.txt go. */
  readonly out: string
  /** An absolute path for the first line of a JavaScript bundle; default: one that looks for node in the usual places. */
  readonly node?: string
  /** The version of this program, for the bill of materials. */
  readonly tool: string
}

/** What was packed. */
export interface Packed {
  readonly manifest: PackageManifest
  readonly archives: readonly {
    readonly file: string
    readonly sha256: string
    readonly platform: Platform
  }[]
  /** The bundle of a JavaScript plugin: what `cmd` of a configuration can name directly. */
  readonly bundle?: { readonly file: string; readonly sha256: string }
}

/** Makes one archive per platform, `checksums.txt` in the form of sha256sum, and the same bytes every time. */
export async function packPlugin({ folder, out, node, tool }: PackOptions): Promise<Packed> {
  const text = readFileSync(join(folder, 'plugin.json'), 'utf8')
  const manifest = parsePackageManifest(text)
  const written = JSON.parse(text) as Readonly<Record<string, unknown>> // an object, as just parsed
  makeFolders(out)
  const entries = entriesOf(written['entry'])
  const source = written['source']
  const bundled =
    typeof source === 'string'
      ? await bundlePlugin({ folder, source, ...(node === undefined ? {} : { node }) })
      : undefined
  const archives = []
  for (const [platform, entry] of entries) {
    if (bundled === undefined) await runBuild(folder, written['build'], platform, entry)
    const files = filesOf({ folder, manifest, entry, bundled, include: written['include'] })
    files.push(asFile('sbom.cdx.json', softwareBill({ manifest, packages: bundled?.packages ?? [], tool })))
    const listed = {
      ...written,
      entry,
      files: files
        .map(({ path, bytes }) => ({ path, sha256: sha256(bytes) }))
        .sort((a, b) => (a.path < b.path ? -1 : 1)),
    }
    files.push(asFile('plugin.json', Buffer.from(`${JSON.stringify(listed, undefined, 2)}\n`)))
    const file = join(out, formatArchiveName({ name: manifest.name, version: manifest.version, platform }))
    archives.push({ file, platform, sha256: await packArchive(file, files) })
  }
  const checksums = archives.map((archive) => `${archive.sha256}  ${basename(archive.file)}`)
  const [, first] = entries[0] ?? []
  const bundle =
    bundled === undefined || first === undefined
      ? undefined
      : writeBundle(join(out, basename(first)), bundled.bytes)
  if (bundle !== undefined) checksums.push(`${bundle.sha256}  ${basename(bundle.file)}`)
  writeFileSync(
    join(out, 'checksums.txt'),
    `${checksums.sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join('\n')}\n`,
  )
  return { manifest, archives, ...(bundle === undefined ? {} : { bundle }) }
}

function writeBundle(file: string, bytes: Buffer): { file: string; sha256: string } {
  writeFileSync(file, bytes)
  chmodSync(file, 0o755)
  return { file, sha256: sha256(bytes) }
}

/** One entry for all platforms, or one for each that it names. */
function entriesOf(entry: unknown): readonly (readonly [Platform, string])[] {
  if (typeof entry === 'string') return [['any', entry]]
  if (typeof entry !== 'object' || entry === null)
    throw new PackageError('manifest-invalid', 'Cannot pack: "entry" of the plugin.json does not name a file')
  return Object.entries(entry).map(([platform, file]) => {
    const known = /^(?:(?:linux|darwin|windows)-(?:amd64|arm64)|any)$/.test(platform)
    if (!known || typeof file !== 'string')
      throw new PackageError(
        'manifest-invalid',
        `Cannot pack: "entry"."${platform}" is no platform with a file`,
      )
    return [platform as Platform, file] as const // the expression lets nothing else through
  })
}

interface FilesOptions {
  readonly folder: string
  readonly manifest: PackageManifest
  readonly entry: string
  readonly bundled: BundledPackage | undefined
  readonly include: unknown
}

function filesOf({ folder, manifest, entry, bundled, include }: FilesOptions): PackedFile[] {
  const program = bundled?.bytes ?? needed(folder, entry)
  const files: PackedFile[] = [{ path: entry, bytes: program, executable: true }]
  if (manifest.settings !== undefined)
    files.push(asFile(manifest.settings, needed(folder, manifest.settings)))
  for (const name of ['README.md', 'LICENSE'])
    if (existsSync(join(folder, name))) files.push(asFile(name, needed(folder, name)))
  for (const path of Array.isArray(include) ? include.map(String) : [])
    files.push(...filesBelow(folder, path).map((file) => asFile(file, needed(folder, file))))
  return files
}

function needed(folder: string, path: string): Buffer {
  if (!existsSync(join(folder, path))) throw missing(path)
  return readFileSync(join(folder, path))
}

function missing(path: string): PackageError {
  return new PackageError('manifest-invalid', `Cannot pack: "${path}" is not there; build it first`)
}

function asFile(path: string, bytes: Buffer): PackedFile {
  return { path, bytes, executable: false }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
