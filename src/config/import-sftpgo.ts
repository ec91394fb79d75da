import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path'
import { ConfigError, messageOf } from '../base/errors.ts'
import { digestToApprove, isInterpreter, takeEmptyChecksums } from './plugin-rules.ts'
import { formatPath } from './problems.ts'
import { checkAgainstSchema } from './schema-check.ts'
import { type SettingSchema, rootSchema } from './setting-schema.ts'
import { isPlaceholder, takeUnsupported } from './unsupported-keys.ts'

/** A translated configuration and what a person should know about it. */
export interface ImportedConfig {
  /** Only what differs from our defaults. */
  readonly config: Readonly<Record<string, unknown>>
  readonly notes: readonly ImportNote[]
}

/** One thing to know: `lost` has no counterpart, `changed` was made otherwise, `check` wants a look. */
export interface ImportNote {
  readonly kind: 'lost' | 'changed' | 'check'
  readonly path: string
  readonly message: string
}

type Section = Record<string, unknown>

/** Reads a configuration file of SFTPGo (JSON, YAML or TOML) and says it in ours. Throws `ConfigError`. */
export async function importSftpgoConfig(file: string): Promise<ImportedConfig> {
  const config = await parsed(file)
  const folder = dirname(resolve(file))
  const notes: ImportNote[] = []
  const note = (kind: ImportNote['kind'], path: string, message: string): void =>
    void notes.push({ kind, path, message })

  for (const { path, message } of takeUnsupported(config))
    note('lost', formatPath(path), message.replace(/; (set it|remove).*$/, ''))
  takePlaceholders(config)
  takeDatabase(config, note)
  takeEmptyChecksums(config)
  takeUnknown(config, note)
  keepHostKeys(config, folder, note)
  for (const [index, entry] of pluginsOf(config).entries())
    importPlugin(entry, `plugins[${index}]`, folder, note)
  makeAbsolute(config, rootSchema, folder)
  noteMeanings(config, note)
  return { config: withoutDefaults(config, rootSchema), notes }
}

type Note = (kind: ImportNote['kind'], path: string, message: string) => void

async function parsed(file: string): Promise<Section> {
  let value: unknown
  try {
    const text = readFileSync(file, 'utf8')
    value = await parseAs(extname(file).toLowerCase(), text)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const code = error instanceof Error && 'syscall' in error ? 'file-unreadable' : 'syntax'
    throw new ConfigError(code, `Cannot import "${file}": ${messageOf(error)}`, { cause: error })
  }
  if (isSection(value)) return value
  throw new ConfigError('wrong-type', `Cannot import "${file}": it holds no sections`)
}

async function parseAs(extension: string, text: string): Promise<unknown> {
  switch (extension) {
    case '.json':
      return JSON.parse(text)
    case '.yaml':
    case '.yml':
      return (await import('yaml')).parse(text)
    case '.toml':
      return (await import('smol-toml')).parse(text)
    default:
      throw new ConfigError(
        'unsupported-key',
        `Cannot import a file ending in "${extension}"; .json, .yaml and .toml can be`,
      )
  }
}

/** Entries of slots that we do not have go altogether; the others keep their order. */
function takePlaceholders(config: Section): void {
  const { plugins } = config
  if (Array.isArray(plugins)) config['plugins'] = plugins.filter((entry: unknown) => !isPlaceholder(entry))
}

/** SFTPGo's database is not opened: accounts come over as a dump. */
function takeDatabase(config: Section, note: Note): void {
  const provider = config['data_provider']
  if (!isSection(provider) || !('name' in provider)) return
  delete provider['name']
  const message =
    'accounts are not part of the configuration: dump them with SFTPGo and run "sftpgo-ts user import DUMP.json"'
  note('check', 'data_provider.name', message)
}

function takeUnknown(config: Section, note: Note): void {
  // Wrong values and unknown keys go one after the other until the schema is content.
  for (let round = 0; round < 20; round += 1) {
    const problems = checkAgainstSchema(structuredClone(config)).filter(({ code }) => code !== 'missing-key')
    if (problems.length === 0) return
    // From the end, so that what is taken out of a list does not move what is still to be taken out.
    const byPath = new Map(problems.map((problem) => [formatPath(problem.path), problem]))
    for (const { path, message } of [...byPath.values()].toReversed()) {
      const holder = path
        .slice(0, -1)
        .reduce<unknown>((here, key) => (isIndexed(here) ? here[key] : undefined), config)
      const key = path.at(-1)
      if (!isIndexed(holder) || key === undefined || !(key in holder)) continue
      if (Array.isArray(holder) && typeof key === 'number') holder.splice(key, 1)
      else delete holder[key]
      note('lost', formatPath(path), message === 'is not a known key' ? 'has no counterpart' : message)
    }
  }
}

function keepHostKeys(config: Section, folder: string, note: Note): void {
  const sftpd = isSection(config['sftpd']) ? config['sftpd'] : {}
  const named = sftpd['host_keys']
  if (Array.isArray(named) && named.length > 0) return
  const found = ['id_ed25519', 'id_rsa'].filter((name) => existsSync(join(folder, name)))
  if (found.length === 0) return
  config['sftpd'] = { ...sftpd, host_keys: found }
  note(
    'changed',
    'sftpd.host_keys',
    `names the keys SFTPGo made (${found.join(', ')}), so that clients know this server again`,
  )
}

function importPlugin(entry: Section, path: string, folder: string, note: Note): void {
  const cmd = entry['cmd']
  if (typeof cmd !== 'string' || cmd === '') return
  const program = isAbsolute(cmd) ? cmd : resolve(folder, cmd)
  entry['cmd'] = program
  if (entry['auto_mtls'] !== true) {
    entry['auto_mtls'] = true
    note('changed', `${path}.auto_mtls`, 'is on now: host and plugin prove to each other who they are')
  }
  if (isInterpreter(program) && importInterpreted(entry, path, program, note)) return
  const given = entry['sha256sum']
  if (typeof given === 'string' && given !== '') return
  const digest = digestToApprove(program)
  if (digest === undefined) {
    note(
      'check',
      `${path}.sha256sum`,
      `is missing and could not be computed: "${program}" cannot be read here`,
    )
  } else {
    entry['sha256sum'] = digest
    note('changed', `${path}.sha256sum`, `was computed from the file as it is now: ${firstUse}`)
  }
}

const firstUse = 'trusted on first use, so make sure it is the right one'

/**
 * An entry whose `cmd` runs a script: the checksum of SFTPGo, if there is one, covers the interpreter alone. True when
 * the script lies here, so that the entry could be made one that covers both.
 */
function importInterpreted(entry: Section, path: string, program: string, note: Note): boolean {
  const name = basename(program)
  const about = `names an interpreter, "${name}", whose checksum says nothing about the script it runs`
  const args: readonly unknown[] = Array.isArray(entry['args']) ? entry['args'] : []
  const script = typeof args[0] === 'string' && isAbsolute(args[0]) ? args[0] : undefined
  const [ofScript, ofInterpreter] = [script, program].map((file) =>
    file === undefined ? undefined : digestToApprove(file),
  )
  if (script === undefined || ofScript === undefined || ofInterpreter === undefined) {
    note('check', `${path}.cmd`, `${about}; see "sftpgo-ts explain interpreter-unverified"`)
    return false
  }
  entry['sha256sum'] = ofScript
  note('changed', `${path}.sha256sum`, `was computed from "${script}" as it is now: ${firstUse}`)
  if (/^node(js)?[0-9.]*$/.test(name)) {
    entry['cmd'] = script
    entry['args'] = args.slice(1)
    note(
      'changed',
      `${path}.cmd`,
      `${about}; it is the script itself now, which the server runs with its own Node`,
    )
  } else {
    entry['interpreter_sha256'] = ofInterpreter
    note('changed', `${path}.interpreter_sha256`, `was computed from "${program}" as it is now: ${firstUse}`)
    note(
      'check',
      `${path}.cmd`,
      `${about}; both have a checksum now, the libraries of the interpreter have none`,
    )
  }
  return true
}

/** SFTPGo takes paths relative to its configuration folder; ours may lie elsewhere. */
function makeAbsolute(value: unknown, schema: SettingSchema, folder: string): void {
  if (!isIndexed(value)) return
  for (const [key, child] of Object.entries(value)) {
    const inner = Array.isArray(value) ? schema.items : schema.properties?.[key]
    if (inner === undefined) continue
    const isPath = inner['x-path'] === true || (Array.isArray(value) && schema['x-path'] === true)
    if (isPath && typeof child === 'string' && child !== '' && !isAbsolute(child))
      value[key] = resolve(folder, child)
    makeAbsolute(child, inner, folder)
  }
}

function noteMeanings(config: Section, note: Note): void {
  const common = isSection(config['common']) ? config['common'] : {}
  if (common['upload_mode'] === 0) {
    note(
      'check',
      'common.upload_mode',
      'is 0 as before: uploads are written in place; 1, our default, never shows half a file',
    )
  }
  const retries = pluginsOf(config).some((entry) => entry['type'] === 'notifier')
  if (retries)
    note(
      'changed',
      'plugins',
      'events wait on disk until a notifier has taken them; retry_max_time only says when they are parked (0: never)',
    )
}

/** What differs from our defaults, empty sections left out. */
function withoutDefaults(section: Section, schema: SettingSchema): Section {
  const result: Section = {}
  for (const [key, value] of Object.entries(section)) {
    const inner = schema.properties?.[key]
    if (inner === undefined || sameValue(value, inner.default)) continue
    if (isSection(value) && inner.properties !== undefined) {
      const rest = withoutDefaults(value, inner)
      if (Object.keys(rest).length > 0) result[key] = rest
    } else if (Array.isArray(value) && inner.items?.properties !== undefined) {
      const { items } = inner
      result[key] = value.map((item: unknown) => (isSection(item) ? elementOf(item, items) : item))
      if (value.length === 0) delete result[key]
    } else {
      result[key] = value
    }
  }
  return result
}

/** Where somebody listens is said in full. */
function elementOf(item: Section, schema: SettingSchema): Section {
  const where = Object.entries(item).filter(([key]) => key === 'port' || key === 'address')
  return { ...Object.fromEntries(where), ...withoutDefaults(item, schema) }
}

function sameValue(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function pluginsOf(config: Section): Section[] {
  const plugins = config['plugins']
  return Array.isArray(plugins) ? plugins.filter(isSection) : []
}

function isSection(value: unknown): value is Section {
  return isIndexed(value) && !Array.isArray(value)
}

function isIndexed(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null
}
