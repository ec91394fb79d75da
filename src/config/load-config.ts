import { readFileSync } from 'node:fs'
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path'
import { messageOf } from '../base/errors.ts'
import type { Settings } from '../gen/settings.ts'
import { type ConfigSource, parseConfigSource } from './config-source.ts'
import { type Environment, type Override, overridesOf, readEnvironment } from './environment-overrides.ts'
import { type PluginSchemaOf, checkSettingsOfPlugins } from './plugin-settings-rules.ts'
import { misplacedManifest } from './misplaced-manifest.ts'
import { type Place, type Problem, type SettingPath, formatPath } from './problems.ts'
import { checkRules } from './rules.ts'
import { type SchemaProblem, checkAgainstSchema } from './schema-check.ts'
import { type SettingSchema, rootSchema } from './setting-schema.ts'
import { takeEmptyChecksums } from './plugin-rules.ts'
import { takeUnsupported } from './unsupported-keys.ts'

/** A configuration that can be used: checked, defaults filled in, paths absolute. */
export interface Config {
  readonly file: string
  /** The folder of the file; relative paths in it are relative to this. */
  readonly folder: string
  /** Where the server keeps everything. */
  readonly stateFolder: string
  readonly settings: Settings
  /** The process's variables and those of `env.d/`: what plugins may be given of. */
  readonly environment: Environment
  /** Where a setting's value comes from. */
  placeOf(path: SettingPath): Place
}

/** What reading a configuration gives: something to use, or mistakes, or both when they only matter at the start. */
export interface LoadedConfig {
  readonly config: Config | undefined
  /** Where a server with this configuration keeps its state, as far as the file can be read. */
  readonly stateFolder: string
  readonly problems: readonly Problem[]
}

/** What reading a configuration may be told besides the file. */
export interface LoadOptions {
  /** Finds what plugins ship; without it their `settings` are not looked at. */
  readonly pluginSchemaOf?: PluginSchemaOf
}

/** Reads and checks a configuration file with the environment over it. Never throws: every mistake is in `problems`. */
export function loadConfig(
  file: string,
  environment: Environment = process.env,
  options: LoadOptions = {},
): LoadedConfig {
  const path = resolve(file)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const place: Place = { in: 'file', file, line: 1, column: 1 }
    const message = `cannot be read (${messageOf(error)}); "sftpgo-ts init" writes one`
    const said = readEnvironment(dirname(path), environment).variables['SFTPGO_STATE_DIR']
    return {
      config: undefined,
      stateFolder: stateFolderOf(path, said),
      problems: [{ code: 'file-unreadable', path: [], place, message }],
    }
  }
  return checkConfig({ file, text, environment, ...options })
}

/** Checks a configuration text as `loadConfig` does. `file` says where it belongs. */
export function checkConfig(
  options: LoadOptions & {
    readonly file: string
    readonly text: string
    readonly environment?: Environment
  },
): LoadedConfig {
  const { file, text } = options
  const folder = dirname(resolve(file))
  const source = parseConfigSource(file, text)
  const environment = readEnvironment(folder, options.environment ?? {})
  const merged = merge(source, environment)
  const { value } = merged
  // Also of a text with mistakes: commands must find the server that runs with its older form.
  const stateFolder = stateFolderOf(resolve(file), childOf(value, 'state_dir'))
  if (source.problems.length > 0)
    return { config: undefined, stateFolder, problems: [...source.problems, ...environment.problems] }
  const placed = placing(source, merged.origins)
  const manifest = misplacedManifest(source.value)
  if (manifest !== undefined) return { config: undefined, stateFolder, problems: [placed(manifest)] }
  const problems: Problem[] = [...environment.problems, ...merged.problems]
  problems.push(...takeUnsupported(value).map((problem) => placed(problem)))
  takeEmptyChecksums(value)
  fillSlotOptions(value)
  const mistakes = checkAgainstSchema(value)
  problems.push(...mistakes.map((problem) => placed(problem, problem.atKey)))
  if (!repair(value, mistakes)) return { config: undefined, stateFolder, problems: sorted(problems) }

  makePathsAbsolute(value, rootSchema, folder)
  const settings = value as Settings // just held against the schema that the type is made from
  const rules = checkRules(settings).filter(
    ({ path }) => !mistakes.some((mistake) => touches(mistake.path, path)),
  )
  problems.push(...rules.map((problem) => placed(problem)))
  if (options.pluginSchemaOf !== undefined) {
    const place = { file: resolve(file), stateFolder }
    const found = checkSettingsOfPlugins(settings, place, options.pluginSchemaOf)
    problems.push(...found.map((problem) => placed(problem, problem.atKey)))
  }
  if (problems.some(({ onlyAtStart }) => onlyAtStart !== true))
    return { config: undefined, stateFolder, problems: sorted(problems) }
  const config: Config = {
    file: resolve(file),
    folder,
    stateFolder,
    settings,
    environment: environment.variables,
    placeOf(path) {
      const origin = originOf(merged.origins, path)
      if (origin !== undefined) return origin
      return source.has(path) ? source.placeOf(path) : { in: 'default' }
    },
  }
  return { config, stateFolder, problems: sorted(problems) }
}

/** The state folder of a configuration: what it says, or NAME.state beside it. */
function stateFolderOf(file: string, said: unknown): string {
  return typeof said !== 'string' || said === ''
    ? join(dirname(file), `${basename(file, extname(file))}.state`)
    : resolve(dirname(file), said)
}

/**
 * Takes wrong values out and fills defaults in their places, so that the checks after the schema still see the rest.
 * False when nothing sensible is left.
 */
function repair(value: unknown, mistakes: readonly SchemaProblem[]): boolean {
  if (mistakes.length === 0) return true
  for (const { path } of mistakes) {
    const inEntry = path[0] === 'plugins' && typeof path[1] === 'number'
    const holder = valueAt(value, inEntry ? ['plugins'] : path.slice(0, -1))
    const key = inEntry ? path[1] : path.at(-1)
    if (typeof holder !== 'object' || holder === null || key === undefined) continue
    // A broken entry of a list keeps its place, so that the indexes of the others stay.
    if (Array.isArray(holder))
      Object.assign(holder, { [key]: inEntry ? { type: 'ipfilter', cmd: '-', enabled: false } : '' })
    else Reflect.deleteProperty(holder, key)
  }
  return checkAgainstSchema(value).length === 0
}

function valueAt(value: unknown, path: SettingPath): unknown {
  return path.reduce<unknown>((here, key) => childOf(here, key), value)
}

/** Whether one path lies within the other. */
function touches(a: SettingPath, b: SettingPath): boolean {
  const length = Math.min(a.length, b.length)
  return a.slice(0, length).every((part, index) => part === b[index])
}

interface Merged {
  readonly value: unknown
  readonly origins: ReadonlyMap<string, Place>
  readonly problems: readonly Problem[]
}

/** A copy of what the file says with the environment's settings in their places. */
function merge(source: ConfigSource, environment: Parameters<typeof overridesOf>[0]): Merged {
  const { overrides, problems } = overridesOf(environment)
  const value = structuredClone(source.value === undefined ? {} : source.value)
  const origins = new Map<string, Place>()
  const appended = new Map<string, number>()
  for (const override of overrides) set(value, settled(value, override, appended), override, origins)
  return { value, origins, problems }
}

/**
 * The path an override really has: an index beyond the end of a list appends, as in SFTPGo, and every variable with
 * that index means the appended element.
 */
function settled(value: unknown, { path }: Override, appended: Map<string, number>): SettingPath {
  const real: (string | number)[] = []
  let here: unknown = value
  for (const part of path) {
    if (typeof part === 'number') {
      const key = `${formatPath(real)}[${part}]`
      const length = Array.isArray(here) ? here.length : 0
      const index = appended.get(key) ?? (part < length ? part : length)
      appended.set(key, index)
      real.push(index)
    } else {
      real.push(part)
    }
    here = childOf(here, real.at(-1))
  }
  return real
}

function set(
  root: unknown,
  path: SettingPath,
  { value, place }: Override,
  origins: Map<string, Place>,
): void {
  let here = root
  for (const [index, part] of path.entries()) {
    if (typeof here !== 'object' || here === null) return
    // Both arrays and sections are indexed by their own kind of key; a mismatch is found by the schema afterwards.
    const holder = here as Record<string | number, unknown>
    if (index === path.length - 1) holder[part] = value
    else if (typeof holder[part] !== 'object' || holder[part] === null)
      holder[part] = typeof path[index + 1] === 'number' ? [] : {}
    here = holder[part]
  }
  origins.set(formatPath(path), place)
}

function childOf(value: unknown, key: string | number | undefined): unknown {
  if (typeof value !== 'object' || value === null || key === undefined || !Object.hasOwn(value, key))
    return undefined
  return (value as Record<string | number, unknown>)[key] // an own key, as just checked
}

/** The origin of a setting that the environment gave, alone or as part of something it gave. */
function originOf(origins: ReadonlyMap<string, Place>, path: SettingPath): Place | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const origin = origins.get(formatPath(path.slice(0, length)))
    if (origin !== undefined) return origin
  }
  return undefined
}

function placing(source: ConfigSource, origins: ReadonlyMap<string, Place>) {
  return (problem: Omit<Problem, 'place'>, atKey = false): Problem => {
    const { code, path, message, suggestion, onlyAtStart } = problem
    const place = originOf(origins, path) ?? source.placeOf(path, { key: atKey })
    return {
      code,
      path,
      message,
      place,
      ...(suggestion === undefined ? {} : { suggestion }),
      ...(onlyAtStart === undefined ? {} : { onlyAtStart }),
    }
  }
}

/** Gives each entry the options section of its own slot, so that the defaults in it are filled in. */
function fillSlotOptions(value: unknown): void {
  const plugins = childOf(value, 'plugins')
  if (!Array.isArray(plugins)) return
  for (const entry of plugins as unknown[]) {
    const type = childOf(entry, 'type')
    if (typeof type !== 'string' || typeof entry !== 'object' || entry === null) continue
    const key = `${type}_options`
    const known = rootSchema.properties?.['plugins']?.items?.properties ?? {}
    if (Object.hasOwn(known, key) && !(key in entry)) Object.assign(entry, { [key]: {} })
  }
}

/** Makes every relative path of the settings absolute, in place. */
function makePathsAbsolute(value: unknown, schema: SettingSchema, folder: string): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, child] of Object.entries(value)) {
    const inner = Array.isArray(value) ? schema.items : schema.properties?.[key]
    if (inner === undefined) continue
    const isPath = inner['x-path'] === true || (Array.isArray(value) && schema['x-path'] === true)
    if (isPath && typeof child === 'string' && child !== '' && !isAbsolute(child)) {
      Object.assign(value, { [key]: resolve(folder, child) })
    }
    makePathsAbsolute(child, inner, folder)
  }
}

function sorted(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => placeOrder(a.place) - placeOrder(b.place))
}

function placeOrder(place: Place): number {
  return place.in === 'file' ? place.line * 10_000 + place.column : Number.MAX_SAFE_INTEGER
}
