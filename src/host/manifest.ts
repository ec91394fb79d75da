import { PluginError } from '../base/errors.ts'
import { parseDigest, type Digest } from './checksum.ts'

/** The name of the manifest inside a plugin's folder. */
export const manifestName = 'plugin.json'

/** Largest manifest that is read. */
export const largestManifestBytes = 4 * 1024 * 1024

/** What the host needs of a `plugin.json`: what to run, and the digest of every file. Other keys are for others. */
export interface ProgramManifest {
  /** The file to run, one of `files`. */
  readonly entry: string
  /** The program that runs `entry`, by absolute path; the configuration has its digest. */
  readonly interpreter?: string
  readonly files: readonly ManifestFile[]
}

/** One file of the folder. */
export interface ManifestFile {
  /** Relative, with forward slashes, without `.` and `..`. */
  readonly path: string
  readonly sha256: Digest
}

/** Reads a manifest. `platform` picks from an `entry` that differs between them (`linux-amd64`). */
export function parseProgramManifest(
  bytes: Buffer,
  name: string,
  platform = thisPlatform(),
): ProgramManifest {
  const value = parseJson(bytes, name)
  if (!isObject(value)) throw invalid(name, 'it is not an object')
  const files = parseFiles(value['files'], name)
  const entry = parseEntry(value['entry'], name, platform)
  if (!files.some(({ path }) => path === entry))
    throw invalid(name, `"files" does not list its entry "${entry}"`)
  const interpreter = value['interpreter']
  if (interpreter === undefined) return { entry, files }
  if (typeof interpreter !== 'string' || !interpreter.startsWith('/'))
    throw invalid(name, '"interpreter" is not an absolute path')
  return { entry, files, interpreter }
}

/** This machine in the words of a manifest. */
export function thisPlatform(): string {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  return `${process.platform === 'win32' ? 'windows' : process.platform}-${architecture}`
}

function parseJson(bytes: Buffer, name: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw new PluginError('manifest-invalid', `Cannot start "${name}": its plugin.json is not JSON`, {
      cause: error,
    })
  }
}

function parseFiles(value: unknown, name: string): ManifestFile[] {
  if (!Array.isArray(value) || value.length === 0) throw invalid(name, '"files" does not list its files')
  if (value.length > 10_000) throw invalid(name, '"files" lists more than 10000 files')
  const seen = new Set<string>()
  return value.map((row: unknown) => {
    if (!isObject(row) || typeof row['path'] !== 'string' || typeof row['sha256'] !== 'string')
      throw invalid(name, 'each of "files" needs "path" and "sha256"')
    const path = row['path']
    if (!isInside(path)) throw invalid(name, `"files" has a path that leaves the folder or is not plain`)
    if (path === manifestName) throw invalid(name, '"files" lists plugin.json itself')
    if (seen.has(path)) throw invalid(name, `"files" lists "${path}" twice`)
    seen.add(path)
    return { path, sha256: parseDigest(row['sha256'], name) }
  })
}

function parseEntry(value: unknown, name: string, platform: string): string {
  const chosen = isObject(value) ? (value[platform] ?? value['any']) : value
  if (typeof chosen === 'string' && isInside(chosen)) return chosen
  throw invalid(
    name,
    isObject(value) ? `"entry" has nothing for ${platform}` : '"entry" does not name a file',
  )
}

/** Whether a relative path stays below where it starts, and has one spelling. */
function isInside(path: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters in a name are what is refused here
  if (path.length === 0 || path.length > 1024 || /[\\\u0000-\u001f\u007f]/.test(path)) return false
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(name: string, reason: string): PluginError {
  return new PluginError('manifest-invalid', `Cannot start "${name}": in its plugin.json ${reason}`)
}
