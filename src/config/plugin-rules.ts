import { createHash } from 'node:crypto'
import { readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import type { ConfigErrorCode } from '../base/errors.ts'
import { isInterpreterName } from '../base/interpreter.ts'
import type { PluginSettings, Settings } from '../gen/settings.ts'
import type { Problem, SettingPath } from './problems.ts'

type RuleProblem = Omit<Problem, 'place'>

/** What must hold of plugin entries beyond their schema. */
export function checkPlugins(settings: Settings): RuleProblem[] {
  return [
    ...settings.plugins.flatMap((plugin, index) => pluginProblems(settings, plugin, ['plugins', index])),
    ...betweenPlugins(settings.plugins),
  ]
}

/** The name of an entry: its own, or its type and index. */
export function pluginName(plugin: Pick<PluginSettings, 'name' | 'type'>, index: number): string {
  return plugin.name ?? `${plugin.type}-${index}`
}

function problem(
  path: SettingPath,
  code: ConfigErrorCode,
  message: string,
  onlyAtStart = false,
): RuleProblem {
  return { path, code, message, ...(onlyAtStart ? { onlyAtStart } : {}) }
}

function pluginProblems(settings: Settings, plugin: PluginSettings, path: SettingPath): RuleProblem[] {
  return [
    ...programProblems(plugin, path),
    ...slotProblems(plugin, path),
    ...keeperProblems(plugin, path),
    ...(plugin.auto_mtls || settings.plugin_host.allow_plaintext
      ? []
      : [
          problem(
            [...path, 'auto_mtls'],
            'unsafe',
            'may be false only where plugin_host.allow_plaintext is true',
          ),
        ]),
  ]
}

function programProblems(plugin: PluginSettings, path: SettingPath): RuleProblem[] {
  const { cmd, source, version, sha256sum } = plugin
  if (cmd === undefined && source === undefined) {
    return [
      problem(
        [...path, 'cmd'],
        'missing-key',
        'is missing: an entry names a program (cmd) or a plugin of a catalog (source)',
      ),
    ]
  }
  const problems: RuleProblem[] = []
  if (cmd !== undefined && source !== undefined) {
    problems.push(problem([...path, 'source'], 'conflict', 'stands beside cmd; keep one of them'))
  }
  if (version !== undefined && source === undefined) {
    problems.push(problem([...path, 'version'], 'conflict', 'belongs to source, which is missing'))
  }
  if (cmd === undefined || !plugin.enabled) return problems
  const runsOthers = isInterpreter(cmd) && (plugin.args.length > 0 || sha256sum !== undefined)
  if (runsOthers && plugin.interpreter_sha256 === undefined) {
    problems.push(problem([...path, 'cmd'], 'unsafe', interpreterMessage(cmd)))
  } else if (sha256sum === undefined && !plugin.dev) {
    problems.push(problem([...path, 'sha256sum'], 'missing-key', checksumMessage(plugin), true))
  }
  return problems
}

/** Takes `"sha256sum": ""` out of every entry: SFTPGo writes a missing checksum that way. */
export function takeEmptyChecksums(config: unknown): void {
  const plugins = fieldOf(config, 'plugins')
  if (!Array.isArray(plugins)) return
  for (const entry of plugins as unknown[])
    if (fieldOf(entry, 'sha256sum') === '') Reflect.deleteProperty(entry as object, 'sha256sum') // it has a field
}

function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  // An object, as just checked; the field stays unknown.
  return (value as Readonly<Record<string, unknown>>)[key]
}

/** Whether a command runs what its arguments name; looks behind links, so that another name hides nothing. */
export function isInterpreter(cmd: string): boolean {
  return [cmd, realPathOf(cmd)].some((path) => isInterpreterName(basename(path)))
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function interpreterMessage(cmd: string): string {
  const name = basename(cmd)
  if (/^(node|nodejs|deno|bun|env)/.test(name)) {
    return `"${name}" is an interpreter, whose checksum says nothing about the script it runs; give the one bundled JavaScript file as cmd`
  }
  return `"${name}" is an interpreter, whose checksum says nothing about the script it runs; add interpreter_sha256, the digest of the interpreter, and set sha256sum to the digest of the script or of the plugin.json of its folder`
}

function checksumMessage({ cmd = '', args, interpreter_sha256: interpreter }: PluginSettings): string {
  // Behind an interpreter the digest is that of what it runs.
  const program = interpreter !== undefined && isInterpreter(cmd) ? resolve(args[0] ?? '') : cmd
  const digest = digestToApprove(program)
  if (digest === undefined) return `is missing, and "${program}" is not a file that can be read`
  return `is missing: nothing unverified runs. If this program is the right one, add "sha256sum": "${digest}"`
}

/** The digest that approves a program: of the file, or of the plugin.json of a folder. Undefined where it cannot be read. */
export function digestToApprove(program: string): string | undefined {
  try {
    const file = statSync(program).isDirectory() ? `${program}/plugin.json` : program
    return createHash('sha256').update(readFileSync(file)).digest('hex')
  } catch {
    return undefined
  }
}

/** Keys that mean something for some slots only, beside each slot's own section. */
const slotKeys: readonly [keyof PluginSettings, readonly PluginSettings['type'][]][] = [
  ['when_refused', ['auth']],
  ['when_down', ['auth', 'ipfilter', 'notifier']],
]

function slotProblems(plugin: PluginSettings, path: SettingPath): RuleProblem[] {
  const problems: RuleProblem[] = []
  const sections = Object.keys(plugin).filter((key) => key.endsWith('_options'))
  const ownSections = sections.map((key) => [key, [key.replace('_options', '')]] as const)
  for (const [key, slots] of [...ownSections, ...slotKeys]) {
    if (!(key in plugin) || slots.includes(plugin.type)) continue
    problems.push(
      problem(
        [...path, key],
        'conflict',
        `belongs to entries of type ${slots.join(' or ')}, not ${plugin.type}`,
      ),
    )
  }
  if (plugin.veto && plugin.type !== 'notifier') {
    problems.push(
      problem([...path, 'veto'], 'conflict', `belongs to entries of type notifier, not ${plugin.type}`),
    )
  }
  if (plugin.persist && plugin.type !== 'auth') {
    problems.push(
      problem([...path, 'persist'], 'conflict', `belongs to entries of type auth, not ${plugin.type}`),
    )
  }
  if (plugin.when_down === 'next' && plugin.type !== 'auth') {
    problems.push(
      problem(
        [...path, 'when_down'],
        'conflict',
        '"next" is for entries of type auth: others do not stand in a row',
      ),
    )
  }
  if (plugin.when_down === 'allow' && plugin.type === 'auth') {
    problems.push(
      problem(
        [...path, 'when_down'],
        'unsafe',
        '"allow" is not for entries of type auth: nobody comes in unasked',
      ),
    )
  }
  return problems
}

/** The five pairs that SFTPGo knows; a secret stored under another status would be asked of another plugin. */
const statusOfScheme: Readonly<Record<string, string>> = {
  awskms: 'AWS',
  gcpkms: 'GCP',
  hashivault: 'VaultTransit',
  azurekeyvault: 'AzureKeyVault',
  ocikeyvault: 'OracleKeyVault',
}

function keeperProblems({ type, kms_options: options }: PluginSettings, path: SettingPath): RuleProblem[] {
  const { scheme, encrypted_status: status } = options ?? {}
  const expected = scheme === undefined ? undefined : statusOfScheme[scheme]
  if (type !== 'kms' || status === undefined || expected === undefined || status === expected) return []
  const message = `is "${status}", which does not belong to the scheme "${scheme}": that has "${expected}"`
  return [problem([...path, 'kms_options', 'encrypted_status'], 'conflict', message)]
}

function betweenPlugins(plugins: readonly PluginSettings[]): RuleProblem[] {
  const names = new Set<string>()
  const kms = new Set<unknown>()
  return plugins.flatMap((plugin, index) => {
    const problems: RuleProblem[] = []
    const name = pluginName(plugin, index)
    if (names.has(name)) {
      const message = `"${name}" is the name of another entry; names are unique`
      problems.push(problem(['plugins', index, 'name'], 'conflict', message))
    }
    names.add(name)
    for (const key of ['scheme', 'encrypted_status'] as const) {
      const options: Readonly<Record<string, unknown>> = { ...plugin.kms_options }
      const value = plugin.type === 'kms' ? options[key] : undefined
      if (typeof value !== 'string') continue
      if (kms.has(`${key} ${value}`)) {
        const message = `"${value}" is served by another kms entry; each belongs to one`
        problems.push(problem(['plugins', index, 'kms_options', key], 'conflict', message))
      }
      kms.add(`${key} ${value}`)
    }
    return problems
  })
}
