import type { Problem, SettingPath } from './problems.ts'

/** A key that SFTPGo knows and we do not. */
interface UnsupportedKey {
  /** Dotted; `*` stands for any element of a list. */
  readonly path: string
  /** What it is for, in words that fit before "is not supported". */
  readonly what: string
  /** The values that ask for nothing; default: false, 0, "", [] and sections of those. */
  readonly off?: readonly unknown[]
}

/** Sections and keys of SFTPGo's configuration that this server does not have. */
const unsupportedKeys: readonly UnsupportedKey[] = [
  { path: 'acme.domains', what: 'obtaining certificates (acme)' },
  { path: 'ftpd.bindings.*.port', what: 'FTP' },
  { path: 'webdavd.bindings.*.port', what: 'WebDAV' },
  { path: 'httpd.bindings.*.port', what: "SFTPGo's web interface with its REST API (httpd)" },
  { path: 'smtp.host', what: 'sending mail (smtp)' },
  { path: 'common.actions.hook', what: 'a hook on file events; a notifier plugin hears the same' },
  { path: 'common.actions.execute_on', what: 'a hook on file events; a notifier plugin hears the same' },
  {
    path: 'common.actions.execute_sync',
    what: 'a hook on file events; a notifier with "veto" is asked first',
  },
  { path: 'common.startup_hook', what: 'a hook at the start' },
  { path: 'common.post_connect_hook', what: 'a hook on connections; an ipfilter plugin decides about them' },
  { path: 'common.post_disconnect_hook', what: 'a hook on disconnections' },
  { path: 'common.secret_min_entropy', what: 'a least entropy of secrets', off: [0, 80] },
  { path: 'common.allow_self_connections', what: 'connections of the server to itself' },
  { path: 'common.metadata.read', what: 'metadata of cloud storage' },
  { path: 'common.event_manager.enabled_commands', what: 'the event manager' },
  { path: 'common.temp_path', what: 'a folder for partial uploads' },
  { path: 'sftpd.host_certificates', what: 'certificates of host keys' },
  { path: 'sftpd.host_key_algorithms', what: 'a choice of host key algorithms; sftpd.profile makes one' },
  { path: 'sftpd.opkssh_path', what: 'opkssh' },
  { path: 'sftpd.opkssh_checksum', what: 'opkssh' },
  { path: 'sftpd.enabled_ssh_commands', what: 'SSH commands, SCP in its old form among them' },
  { path: 'sftpd.keyboard_interactive_auth_hook', what: 'a keyboard-interactive hook; an auth plugin asks' },
  { path: 'sftpd.folder_prefix', what: 'a folder prefix' },
  ...[
    'host',
    'port',
    'username',
    'password',
    'password_file',
    'sslmode',
    'disable_sni',
    'target_session_attrs',
  ]
    .concat(['root_cert', 'client_cert', 'client_key', 'connection_string', 'sql_tables_prefix', 'pool_size'])
    .map((key) => ({ path: `data_provider.${key}`, what: 'a database server' })),
  { path: 'data_provider.delayed_quota_update', what: 'delaying quota updates' },
  { path: 'data_provider.actions.hook', what: 'a hook on account changes; a notifier plugin hears the same' },
  { path: 'data_provider.actions.execute_on', what: 'a hook on account changes' },
  { path: 'data_provider.actions.execute_for', what: 'a hook on account changes' },
  {
    path: 'data_provider.external_auth_hook',
    what: 'an external authentication hook; an auth plugin decides',
  },
  { path: 'data_provider.external_auth_scope', what: 'an external authentication hook' },
  { path: 'data_provider.pre_login_hook', what: 'a hook before logins; an auth plugin decides' },
  { path: 'data_provider.post_login_hook', what: 'a hook after logins; a notifier hears of them' },
  { path: 'data_provider.post_login_scope', what: 'a hook after logins' },
  { path: 'data_provider.check_password_hook', what: 'a hook on passwords; an auth plugin decides' },
  { path: 'data_provider.check_password_scope', what: 'a hook on passwords' },
  { path: 'data_provider.password_validation.admins.min_entropy', what: 'administrators as accounts' },
  { path: 'data_provider.update_mode', what: 'a choice of when the database is migrated' },
  { path: 'data_provider.create_default_admin', what: 'administrators as accounts' },
  { path: 'data_provider.is_shared', what: 'a database shared by several servers' },
  { path: 'data_provider.node.host', what: 'a database shared by several servers' },
  { path: 'data_provider.node.port', what: 'a database shared by several servers' },
  { path: 'data_provider.node.proto', what: 'a database shared by several servers', off: ['', 'http'] },
  { path: 'data_provider.backups_path', what: 'backups through the REST API', off: ['', 'backups'] },
  { path: 'telemetry.enable_profiler', what: 'the profiler over HTTP' },
  { path: 'telemetry.tls_cipher_suites', what: 'a choice of TLS cipher suites' },
  { path: 'telemetry.tls_protocols', what: 'a choice of TLS application protocols' },
]

/** Sections that mean nothing without their port, host or domains: the rest of them is passed over. */
const wholeSections = ['acme', 'ftpd', 'webdavd', 'httpd', 'smtp']
/** Sections that only configure hooks, which are refused where they are set. */
const hookSections = ['http', 'command']
const hookMessage = 'this section configures hooks, which are not supported; remove it'

/** Values of our own keys that SFTPGo knows beside ours. */
const unsupportedValues: readonly {
  readonly path: string
  readonly values: readonly unknown[]
  readonly what: string
}[] = [
  {
    path: 'data_provider.driver',
    values: ['bolt', 'mysql', 'postgresql', 'cockroachdb'],
    what: 'this database driver is not supported yet; sqlite and memory are',
  },
  { path: 'plugins.*.type', values: ['eventsearcher'], what: 'event searcher plugins are not supported yet' },
  {
    path: 'common.upload_mode',
    values: [4, 8, 16],
    what: 'this mode is for cloud storages, which are not supported yet',
  },
]

/** Takes SFTPGo's keys that we do not have out of `config`; each that asks for something is a problem. */
export function takeUnsupported(config: unknown): Omit<Problem, 'place'>[] {
  if (!isSection(config)) return []
  const problems: Omit<Problem, 'place'>[] = []
  for (const { path, what, off } of unsupportedKeys) {
    for (const { at, holder, key } of findAll(config, path.split('.'))) {
      if (!isOff(holder[key], off)) problems.push(unsupported(at, sentence(what, key)))
      delete holder[key]
      prune(config, at.slice(0, -1))
    }
  }
  for (const name of wholeSections) delete config[name]
  for (const name of hookSections) {
    if (!(name in config)) continue
    problems.push(unsupported([name], hookMessage))
    delete config[name]
  }
  for (const { path, values, what } of unsupportedValues) {
    for (const { at, holder, key } of findAll(config, path.split('.'))) {
      if (!values.includes(holder[key])) continue
      problems.push(unsupported(at, what))
      if (key === 'type') replaceEntry(holder)
      else delete holder[key]
    }
  }
  return problems
}

/** What a variable says that names a key of SFTPGo which we do not have: a problem, or nothing. Undefined for other keys. */
export function unsupportedVariable(
  path: SettingPath,
  text: string,
): { readonly problem?: Omit<Problem, 'place'> } | undefined {
  const [section = ''] = path.map(String)
  const key = unsupportedKeys.find(({ path: known }) => matches(path, known.split('.')))
  if (key !== undefined) {
    const value = /^-?\d+$/.test(text) ? Number(text) : text.toLowerCase() === 'false' ? false : text
    if (text === '' || isOff(value, key.off)) return {}
    return { problem: unsupported(path, sentence(key.what, String(path.at(-1)), 'this variable')) }
  }
  if (wholeSections.includes(section)) return {}
  return hookSections.includes(section) ? { problem: unsupported(path, hookMessage) } : undefined
}

function matches(path: SettingPath, pattern: readonly string[]): boolean {
  return (
    path.length === pattern.length &&
    path.every((part, index) => (typeof part === 'number' ? '*' : part) === pattern[index])
  )
}

/** `what` may end in "; HINT": what to use instead. */
function sentence(what: string, key: string, it = 'this key'): string {
  const toRemove = it === 'this key' ? 'the section' : it
  const [thing = '', hint = key === 'port' ? `set it to 0 or remove ${toRemove}` : `remove ${it}`] =
    what.split('; ')
  return `${thing} is not supported yet; ${hint}`
}

type Section = Record<string, unknown>

/** Leaves an entry behind that nothing else is wrong with, so that the indexes of the others stay. */
function replaceEntry(entry: Section): void {
  for (const key of Object.keys(entry)) delete entry[key]
  Object.assign(entry, placeholder)
}

const placeholder = { type: 'ipfilter', enabled: false, cmd: '-' } as const

/** Whether an entry stands where one of a slot stood that we do not have. */
export function isPlaceholder(entry: unknown): boolean {
  return isSection(entry) && entry['cmd'] === placeholder.cmd && entry['enabled'] === false
}

function unsupported(path: SettingPath, message: string): Omit<Problem, 'place'> {
  return { code: 'unsupported-key', path, message }
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

interface Hit {
  readonly at: SettingPath
  readonly holder: Section
  readonly key: string
}

function findAll(from: unknown, [part, ...rest]: readonly string[], at: SettingPath = []): Hit[] {
  if (part === undefined) return []
  if (part === '*') {
    return Array.isArray(from)
      ? from.flatMap((item: unknown, index) => findAll(item, rest, [...at, index]))
      : []
  }
  if (!isSection(from) || !Object.hasOwn(from, part)) return []
  if (rest.length === 0) return [{ at: [...at, part], holder: from, key: part }]
  return findAll(from[part], rest, [...at, part])
}

function isOff(value: unknown, off: readonly unknown[] | undefined): boolean {
  if (off !== undefined) return off.includes(value)
  if (Array.isArray(value)) return value.length === 0
  return value === false || value === 0 || value === '' || value === null
}

/** Takes sections away that only held keys we have just taken out, unless they are sections of ours. */
function prune(config: Section, path: SettingPath): void {
  const ours = ['common', 'sftpd', 'data_provider', 'telemetry', 'password_validation']
  const key = path.at(-1)
  if (typeof key !== 'string' || ours.includes(key)) return
  for (const { holder } of findAll(config, path.map(String))) {
    const section = holder[key]
    if (isSection(section) && Object.keys(section).length === 0) delete holder[key]
  }
}
