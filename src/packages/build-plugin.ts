import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import { messageOf, PackageError } from '../base/errors.ts'
import { digestToApprove } from '../host/verified-copy.ts'
import { thisPlatform } from '../host/manifest.ts'
import { runCommand } from '../host/run-command.ts'
import type { SlotName } from '../slots/index.ts'
import { bundlePlugin } from './bundle.ts'
import { parsePackageManifest } from './package-manifest.ts'

/** What is built. */
export interface BuildRequest {
  /** An author's folder with a plugin.json, or one executable in any language. */
  readonly target: string
  /** Needed for an executable; a folder says it itself, and both have to agree. */
  readonly slot?: SlotName
  /** A fresh private folder: what runs is put there, so that the next build cannot disturb it. */
  readonly into: string
  /** Runs a folder's entry instead of the interpreter its plugin.json names. */
  readonly interpreter?: string
  /** Instead of `test/fixtures.json` of the folder. */
  readonly fixtures?: string
}

/** A plugin that a host can run, with what its author says about trying it out. */
export interface BuiltPlugin {
  readonly name: string
  readonly slot: SlotName
  readonly program: BuiltProgram
  readonly fixtures: Fixtures
  /** The schema of its settings; undefined where it ships none. */
  readonly schema: unknown
  /** Names of variables that it asks for. */
  readonly environment: readonly string[]
}

/** What the host is told to run. Digests are of what was just built. */
export interface BuiltProgram {
  readonly cmd: string
  readonly args: readonly string[]
  readonly sha256sum: string
  readonly interpreterSha256?: string
}

/** Settings to run with and samples for the contract's cases. */
export interface Fixtures {
  readonly settings: Readonly<Record<string, unknown>>
  readonly samples: Readonly<Record<string, unknown>>
}

/** How long a compiler may take: the first build of a Go program fetches and compiles everything. */
const buildTimeoutMs = 600_000

/** Builds a plugin of any language. Throws `PackageError` with the compiler's words when it does not compile. */
export async function buildPlugin(request: BuildRequest): Promise<BuiltPlugin> {
  const target = resolve(request.target)
  const stats = statSync(target, { throwIfNoEntry: false })
  if (stats === undefined) throw new PackageError('not-found', `There is no "${target}"`)
  makeFolders(request.into, 0o700)
  return stats.isDirectory() ? builtFolder(target, request) : builtExecutable(target, request)
}

/** Whether a folder is a plugin's own, or just one where programs lie. */
export function isPluginFolder(folder: string): boolean {
  return existsSync(join(folder, 'plugin.json'))
}

async function builtExecutable(target: string, { slot, into, fixtures }: BuildRequest): Promise<BuiltPlugin> {
  if (slot === undefined)
    throw new PackageError('wrong-slot', `"${target}" is a program: say with --slot which slot it fills`)
  const copy = copyProgram(target, into)
  return {
    name: basename(target),
    slot,
    program: { cmd: copy, args: [], sha256sum: await digestToApprove(copy) },
    fixtures: readFixtures(fixtures),
    schema: undefined,
    environment: [],
  }
}

async function builtFolder(folder: string, request: BuildRequest): Promise<BuiltPlugin> {
  if (!isPluginFolder(folder))
    throw new PackageError('manifest-invalid', `"${folder}" has no plugin.json: it is no plugin's folder`)
  const text = readFileSync(join(folder, 'plugin.json'), 'utf8')
  const manifest = parsePackageManifest(text)
  const { name, slot, settings } = manifest
  if (request.slot !== undefined && request.slot !== slot)
    throw new PackageError('wrong-slot', `"${name}" fills "${slot}", not "${request.slot}"`)
  const written = JSON.parse(text) as Readonly<Record<string, unknown>> // an object, as just parsed
  const own = join(folder, 'test/fixtures.json')
  return {
    ...{ name, slot },
    program: await builtProgram(folder, written, request),
    fixtures: readFixtures(request.fixtures ?? (existsSync(own) ? own : undefined)),
    schema: settings === undefined ? undefined : readJson(join(folder, settings)),
    environment: manifest.permissions.environment,
  }
}

async function builtProgram(
  folder: string,
  written: Readonly<Record<string, unknown>>,
  { into, interpreter: other }: BuildRequest,
): Promise<BuiltProgram> {
  const { source, include } = written
  const entry = entryHere(written['entry'])
  if (typeof source === 'string') {
    const { bytes } = await bundlePlugin({ folder, source })
    const file = join(into, basename(entry))
    writeFileSync(file, bytes, { mode: 0o755 })
    return { cmd: file, args: [], sha256sum: await digestToApprove(file) }
  }
  await runBuild(folder, written['build'], thisPlatform(), entry)
  if (!existsSync(join(folder, entry)))
    throw new PackageError('manifest-invalid', `Cannot run: "${entry}" is not there`)
  const interpreter = other ?? ownInterpreter(folder, written['interpreter'])
  if (typeof interpreter !== 'string' && !Array.isArray(include)) {
    const copy = copyProgram(join(folder, entry), into)
    return { cmd: copy, args: [], sha256sum: await digestToApprove(copy) }
  }
  return staged(folder, { entry, include, interpreter, into })
}

/** An author of a Python plugin has its libraries in a `.venv` rather than in the system; users have them there. */
function ownInterpreter(folder: string, interpreter: unknown): unknown {
  const own = join(folder, '.venv/bin/python3')
  const isPython = typeof interpreter === 'string' && /^python[0-9.]*$/.test(basename(interpreter))
  return isPython && existsSync(own) ? own : interpreter
}

/** Runs the `build` of a plugin.json for one platform. Does nothing where there is none. */
export async function runBuild(
  folder: string,
  build: unknown,
  platform: string,
  entry: string,
): Promise<void> {
  if (build === undefined) return
  if (!Array.isArray(build) || build.length === 0 || !build.every((word) => typeof word === 'string'))
    throw new PackageError('manifest-invalid', '"build" of the plugin.json is no list of words')
  const words = build.map((word: string) => word.replaceAll('{entry}', entry))
  const [system = '', architecture = ''] = platform.split('-')
  // Go reads these; other builders may.
  const environment = { GOOS: system, GOARCH: architecture, CGO_ENABLED: '0' }
  const { code, output } = await runCommand({
    ...{ command: words, folder, timeoutMs: buildTimeoutMs },
    ...(platform === 'any' ? {} : { environment }),
  })
  if (code !== 0)
    throw new PackageError(
      'manifest-invalid',
      `Cannot build: "${words.join(' ')}" ended with ${code}:\n${output}`,
    )
}

interface StageOptions {
  readonly entry: string
  readonly include: unknown
  readonly interpreter: unknown
  readonly into: string
}

/** The files of the plugin in a folder of their own, beside a plugin.json that lists them. */
async function staged(
  folder: string,
  { entry, include, interpreter, into }: StageOptions,
): Promise<BuiltProgram> {
  const names = [entry, ...(Array.isArray(include) ? include.map(String) : [])]
  const paths = [...new Set(names.flatMap((name) => filesBelow(folder, name)))]
  const files = paths.map((path) => {
    const bytes = readFileSync(join(folder, path))
    makeFolders(dirname(join(into, path)))
    writeFileSync(join(into, path), bytes, { mode: 0o755 })
    return { path, sha256: createHash('sha256').update(bytes).digest('hex') }
  })
  const named = typeof interpreter === 'string' ? interpreter : undefined
  const manifest = { entry, files, ...(named === undefined ? {} : { interpreter: named }) }
  writeFileSync(join(into, 'plugin.json'), JSON.stringify(manifest))
  return {
    ...{ cmd: into, args: [], sha256sum: await digestToApprove(into) },
    ...(named === undefined ? {} : { interpreterSha256: await digestToApprove(named) }),
  }
}

/** A file, or every file below a folder, by its path from the plugin's folder. */
export function filesBelow(folder: string, path: string): string[] {
  const stats = statSync(join(folder, path), { throwIfNoEntry: false })
  if (stats === undefined) throw new PackageError('manifest-invalid', `"${path}" of "include" is not there`)
  if (!stats.isDirectory()) return [path]
  return readdirSync(join(folder, path)).flatMap((name) =>
    name === '__pycache__' || name === '.venv' ? [] : filesBelow(folder, `${path}/${name}`),
  )
}

function entryHere(entry: unknown): string {
  if (typeof entry === 'string') return entry
  const table: Readonly<Record<string, unknown>> =
    typeof entry === 'object' && entry !== null ? { ...entry } : {}
  const chosen = table[thisPlatform()] ?? table['any']
  if (typeof chosen === 'string') return chosen
  throw new PackageError('no-such-platform', `"entry" of the plugin.json has nothing for ${thisPlatform()}`)
}

function copyProgram(file: string, into: string): string {
  const copy = join(into, basename(file))
  copyFileSync(file, copy)
  chmodSync(copy, statSync(file).mode | 0o600)
  return copy
}

function readFixtures(file: string | undefined): Fixtures {
  const value = file === undefined ? {} : readJson(file)
  if (typeof value !== 'object' || value === null)
    throw new PackageError('manifest-invalid', `"${file}" does not hold an object`)
  const { settings = {}, samples = {} } = value as Partial<Fixtures> // the author's own file; the cases look at what is in it
  return { settings, samples }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new PackageError('manifest-invalid', `Cannot read "${file}": ${messageOf(cause)}`, { cause })
  }
}
