import { isAbsolute } from 'node:path'
import type { StoredSecret } from '../secrets/secret.ts'
import { compact, withoutZeros } from './compact-record.ts'
import { parseNetwork } from './ip-set.ts'
import { KeyError, parseAuthorizedKey } from './public-key.ts'
import { readRecord, type Findings, type RecordReader } from './record-reader.ts'
import type {
  FilePattern,
  FilesystemConfig,
  Folder,
  Group,
  GroupMembership,
  GroupSettings,
  Permission,
  TotpConfig,
  User,
  UserFilters,
  VirtualFolder,
} from './user.ts'
import { nameProblem } from './username.ts'

/** A record that was read, with what came to light; unusable when `problems` is not empty. */
export interface Parsed<T> extends Findings {
  readonly value: T
}

/** Reads a user in SFTPGo's JSON form. Trusts nothing; takes over what this server supports and names the rest. */
export function parseUser(json: unknown): Parsed<User> {
  return parse(json, readUser)
}

/** Reads a group in SFTPGo's JSON form. */
export function parseGroup(json: unknown): Parsed<Group> {
  return parse(json, readGroup)
}

/** Reads a folder in SFTPGo's JSON form. */
export function parseFolder(json: unknown): Parsed<Folder> {
  return parse(json, readFolder)
}

/** The permissions SFTPGo knows. */
export const allPermissions: readonly Permission[] = [
  ...(['*', 'list', 'download', 'upload', 'overwrite', 'delete', 'delete_files', 'delete_dirs'] as const),
  ...(['rename', 'rename_files', 'rename_dirs', 'create_dirs', 'create_symlinks'] as const),
  ...(['chmod', 'chown', 'chtimes', 'copy'] as const),
]

/** The login methods that can be denied. */
export const allLoginMethods = [
  ...['publickey', 'password', 'password-over-SSH', 'keyboard-interactive', 'publickey+password'],
  ...['publickey+keyboard-interactive', 'TLSCertificate', 'TLSCertificate+password'],
]

const allProtocols = ['SSH', 'FTP', 'DAV', 'HTTP']
const mostInt32 = 2_147_483_647

function parse<T>(json: unknown, read: (reader: RecordReader) => T): Parsed<T> {
  const findings: Findings = { problems: [], dropped: [] }
  const reader = readRecord(json, '', findings)
  const value = read(reader)
  reader.end()
  return { value, ...findings }
}

function readUser(reader: RecordReader): User {
  reader.ignore('has_password', 'oidc_custom_fields', 'last_activity')
  const homeDir = readDirectory(reader, 'home_dir')
  return compact<User>({
    id: reader.integer('id'),
    status: reader.integer('status', { most: 1 }) === 1 ? 1 : 0,
    username: readName(reader, 'username'),
    email: reader.text('email', { most: 255 }),
    description: reader.text('description', { most: 512 }),
    additional_info: reader.text('additional_info'),
    expiration_date: reader.integer('expiration_date'),
    password: reader.text('password', { most: 4096 }),
    public_keys: readKeys(reader),
    home_dir: homeDir,
    uid: reader.integer('uid', { most: mostInt32 }),
    gid: reader.integer('gid', { most: mostInt32 }),
    max_sessions: reader.integer('max_sessions', { most: mostInt32 }),
    quota_size: reader.integer('quota_size'),
    quota_files: reader.integer('quota_files'),
    used_quota_size: reader.integer('used_quota_size', { least: Number.MIN_SAFE_INTEGER }),
    used_quota_files: reader.integer('used_quota_files', { least: Number.MIN_SAFE_INTEGER }),
    last_quota_update: reader.integer('last_quota_update'),
    permissions: readPermissions(reader, 'permissions'),
    upload_bandwidth: reader.integer('upload_bandwidth'),
    download_bandwidth: reader.integer('download_bandwidth'),
    upload_data_transfer: reader.integer('upload_data_transfer'),
    download_data_transfer: reader.integer('download_data_transfer'),
    total_data_transfer: reader.integer('total_data_transfer'),
    used_upload_data_transfer: reader.integer('used_upload_data_transfer'),
    used_download_data_transfer: reader.integer('used_download_data_transfer'),
    last_login: reader.integer('last_login'),
    first_download: reader.integer('first_download'),
    first_upload: reader.integer('first_upload'),
    last_password_change: reader.integer('last_password_change'),
    created_at: reader.integer('created_at'),
    updated_at: reader.integer('updated_at'),
    filters: reader.object('filters', readFilters) ?? {},
    virtual_folders: readMounts(reader),
    filesystem: readFilesystem(reader),
    groups: readMemberships(reader),
    role: readOptionalName(reader, 'role'),
  })
}

function readGroup(reader: RecordReader): Group {
  reader.ignore('users', 'admins')
  return compact<Group>({
    id: reader.integer('id'),
    name: readName(reader, 'name'),
    description: reader.text('description', { most: 512 }),
    created_at: reader.integer('created_at'),
    updated_at: reader.integer('updated_at'),
    user_settings: reader.object('user_settings', readGroupSettings) ?? {},
    virtual_folders: readMounts(reader),
  })
}

function readGroupSettings(reader: RecordReader): GroupSettings {
  const permissions = readPermissions(reader, 'permissions')
  const filesystem = readFilesystem(reader)
  return withoutZeros<GroupSettings>({
    home_dir: readDirectory(reader, 'home_dir'),
    max_sessions: reader.integer('max_sessions', { most: mostInt32 }),
    quota_size: reader.integer('quota_size'),
    quota_files: reader.integer('quota_files'),
    permissions: Object.keys(permissions).length > 0 ? permissions : undefined,
    upload_bandwidth: reader.integer('upload_bandwidth'),
    download_bandwidth: reader.integer('download_bandwidth'),
    upload_data_transfer: reader.integer('upload_data_transfer'),
    download_data_transfer: reader.integer('download_data_transfer'),
    total_data_transfer: reader.integer('total_data_transfer'),
    expires_in: reader.integer('expires_in', { most: 36_500 }),
    filters: reader.object('filters', readFilters),
    filesystem: filesystem.provider === 0 ? undefined : filesystem,
  })
}

function readFolder(reader: RecordReader): Folder {
  reader.ignore('users', 'groups')
  return compact<Folder>({
    id: reader.integer('id'),
    name: readName(reader, 'name'),
    description: reader.text('description', { most: 512 }),
    mapped_path: readDirectory(reader, 'mapped_path'),
    used_quota_size: reader.integer('used_quota_size', { least: Number.MIN_SAFE_INTEGER }),
    used_quota_files: reader.integer('used_quota_files', { least: Number.MIN_SAFE_INTEGER }),
    last_quota_update: reader.integer('last_quota_update'),
    filesystem: readFilesystem(reader),
  })
}

function readFilters(reader: RecordReader): UserFilters {
  const methods = readChoices(reader, 'denied_login_methods', allLoginMethods)
  const protocols = readChoices(reader, 'denied_protocols', allProtocols)
  if (new Set(methods).size === allLoginMethods.length)
    reader.problem('denied_login_methods', 'denies all methods')
  if (new Set(protocols).size === allProtocols.length)
    reader.problem('denied_protocols', 'denies all protocols')
  return compact<UserFilters>({
    allowed_ip: readNetworks(reader, 'allowed_ip'),
    denied_ip: readNetworks(reader, 'denied_ip'),
    denied_login_methods: methods,
    denied_protocols: protocols,
    file_patterns: reader.objects('file_patterns', readPattern),
    max_upload_file_size: reader.integer('max_upload_file_size'),
    hooks: reader.object('hooks', (hooks) =>
      compact({
        external_auth_disabled: hooks.flag('external_auth_disabled'),
        pre_login_disabled: hooks.flag('pre_login_disabled'),
        check_password_disabled: hooks.flag('check_password_disabled'),
      }),
    ),
    disable_fs_checks: reader.flag('disable_fs_checks'),
    // For a web client that this server does not have; directory plugins read and write it.
    web_client: reader.texts('web_client'),
    user_type: reader.text('user_type', { most: 64 }),
    bandwidth_limits: reader.objects('bandwidth_limits', (limit) => ({
      sources: readNetworks(limit, 'sources'),
      upload_bandwidth: limit.integer('upload_bandwidth'),
      download_bandwidth: limit.integer('download_bandwidth'),
    })),
    external_auth_cache_time: reader.integer('external_auth_cache_time'),
    start_directory: readVirtual(reader, 'start_directory'),
    two_factor_protocols: readChoices(reader, 'two_factor_protocols', allProtocols),
    is_anonymous: reader.flag('is_anonymous'),
    password_expiration: reader.integer('password_expiration'),
    password_strength: reader.integer('password_strength', { most: 100 }),
    access_time: reader.objects('access_time', readPeriod),
    require_password_change: reader.flag('require_password_change'),
    additional_emails: reader.texts('additional_emails'),
    totp_config: reader.object('totp_config', readTotp),
  })
}

function readPattern(reader: RecordReader): FilePattern {
  return {
    path: readVirtual(reader, 'path'),
    allowed_patterns: reader.texts('allowed_patterns'),
    denied_patterns: reader.texts('denied_patterns'),
    deny_policy: reader.integer('deny_policy', { most: 1 }) === 1 ? 1 : 0,
  }
}

function readPeriod(reader: RecordReader): { day_of_week: number; from: string; to: string } {
  const time = (key: string): string => {
    const text = reader.text(key)
    if (!/^([01]\d|2[0-3]):[0-5]\d$/.test(text)) reader.problem(key, 'expected a time such as "08:30"')
    return text
  }
  return { day_of_week: reader.integer('day_of_week', { most: 6 }), from: time('from'), to: time('to') }
}

function readTotp(reader: RecordReader): TotpConfig {
  return compact<TotpConfig>({
    enabled: reader.flag('enabled'),
    config_name: reader.text('config_name', { most: 255 }),
    secret: reader.object('secret', readSecret),
    protocols: readChoices(reader, 'protocols', allProtocols),
  })
}

function readSecret(reader: RecordReader): StoredSecret {
  return compact<StoredSecret>({
    status: reader.text('status', { most: 64 }),
    payload: reader.text('payload'),
    key: reader.text('key', { most: 1024 }),
    additional_data: reader.text('additional_data', { most: 1024 }),
    mode: reader.integer('mode', { most: 16 }),
    // Ours: without it a secret of a plugin opens only as long as kms.secrets.url stays as it was.
    url: reader.text('url', { most: 2048 }),
  })
}

const elsewhere: Readonly<Record<number, string>> = {
  1: 'S3',
  2: 'Google Cloud Storage',
  3: 'Azure Blob Storage',
  5: 'another SFTP server',
  6: 'an HTTP file system',
}

/** Local disk or encrypted local disk. A user whose files lie elsewhere must not silently get an empty local folder. */
function readFilesystem(reader: RecordReader): FilesystemConfig {
  return (
    reader.object('filesystem', (fs) => {
      fs.ignore('s3config', 'gcsconfig', 'azblobconfig', 'sftpconfig', 'httpconfig')
      const provider = fs.integer('provider')
      if (provider !== 0 && provider !== 4)
        fs.problem(
          'provider',
          `the files lie in ${elsewhere[provider] ?? 'an unknown place'}, which is not supported`,
        )
      const buffers = (config: RecordReader): { read_buffer_size: number; write_buffer_size: number } => ({
        read_buffer_size: config.integer('read_buffer_size', { most: 10 }),
        write_buffer_size: config.integer('write_buffer_size', { most: 10 }),
      })
      const osconfig = fs.object('osconfig', buffers)
      const cryptconfig = fs.object('cryptconfig', (config) => {
        buffers(config)
        return compact({ passphrase: config.object('passphrase', readSecret) })
      })
      const passphrase = cryptconfig?.passphrase
      // Whether a placeholder may stand here is for those to say who have something stored.
      if (provider === 4 && passphrase?.payload === undefined && passphrase?.status !== 'Redacted')
        fs.problem('cryptconfig.passphrase', 'is needed for encrypted files')
      return compact<FilesystemConfig>({
        provider,
        osconfig: provider === 0 ? osconfig : undefined,
        cryptconfig: provider === 4 ? cryptconfig : undefined,
      })
    }) ?? { provider: 0 }
  )
}

function readMounts(reader: RecordReader): VirtualFolder[] {
  const mounts = reader.objects('virtual_folders', (mount) => {
    mount.ignore('id', 'users', 'groups', 'last_quota_update', 'used_quota_size', 'used_quota_files')
    const quota = { least: -1 }
    return compact<VirtualFolder>({
      name: readName(mount, 'name'),
      virtual_path: readVirtual(mount, 'virtual_path'),
      mapped_path: readDirectory(mount, 'mapped_path'),
      description: mount.text('description', { most: 512 }),
      quota_size: mount.integer('quota_size', quota),
      quota_files: mount.integer('quota_files', quota),
      filesystem: readFilesystem(mount),
    })
  })
  const paths = mounts.map((mount) => mount.virtual_path)
  const twice = paths.find((path, index) => paths.indexOf(path) !== index)
  if (twice !== undefined) reader.problem('virtual_folders', `two folders at "${twice}"`)
  if (paths.includes('/')) reader.problem('virtual_folders', 'a folder at "/" is not supported')
  return mounts
}

function readMemberships(reader: RecordReader): GroupMembership[] {
  const groups = reader.objects('groups', (group) => {
    const type = group.integer('type', { least: 1, most: 3 })
    return { name: readName(group, 'name'), type: type === 1 ? 1 : type === 2 ? 2 : 3 } as const
  })
  if (groups.filter(({ type }) => type === 1).length > 1)
    reader.problem('groups', 'more than one primary group')
  return groups
}

function readKeys(reader: RecordReader): string[] {
  const lines = reader.texts('public_keys').map((line) => line.trim())
  for (const [index, line] of lines.entries()) {
    try {
      parseAuthorizedKey(line)
    } catch (error) {
      if (!(error instanceof KeyError)) throw error
      reader.problem(`public_keys[${index}]`, error.message)
    }
  }
  return lines
}

function readPermissions(reader: RecordReader, key: string): Record<string, Permission[]> {
  const result: Record<string, Permission[]> = {}
  reader.object(key, (map) => {
    const raw = reader.raw(key)
    for (const path of Object.keys(typeof raw === 'object' && raw !== null ? raw : {})) {
      const permissions = map.texts(path)
      const unknown = permissions.find((one) => !allPermissions.some((known) => known === one))
      if (unknown !== undefined) map.problem(path, `"${unknown}" is not a permission`)
      if (!path.startsWith('/')) map.problem(path, 'expected an absolute virtual path')
      // Own and harmless even for a path called "__proto__".
      Object.defineProperty(result, path, {
        value: permissions,
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
  })
  return result
}

function readChoices(reader: RecordReader, key: string, choices: readonly string[]): string[] {
  const texts = reader.texts(key)
  const unknown = texts.find((text) => !choices.includes(text))
  if (unknown !== undefined)
    reader.problem(key, `"${unknown.slice(0, 60)}" is not one of ${choices.join(', ')}`)
  return texts
}

function readNetworks(reader: RecordReader, key: string): string[] {
  const texts = reader.texts(key)
  const wrong = texts.find((text) => parseNetwork(text) === undefined)
  if (wrong !== undefined) reader.problem(key, `"${wrong.slice(0, 60)}" is not an address or network`)
  return texts
}

function readDirectory(reader: RecordReader, key: string): string {
  const path = reader.text(key, { most: 4096 })
  if (path !== '' && (!isAbsolute(path) || path.split('/').includes('..')))
    reader.problem(key, 'expected an absolute path')
  return path
}

function readVirtual(reader: RecordReader, key: string): string {
  const path = reader.text(key, { most: 4096 })
  if (path === '') return path
  const clean = `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`
  if (!path.startsWith('/') || path.split('/').includes('..'))
    reader.problem(key, 'expected an absolute virtual path')
  return clean
}

function readName(reader: RecordReader, key: string): string {
  const name = reader.text(key)
  const problem = nameProblem(name)
  if (problem !== undefined) reader.problem(key, problem)
  return name
}

function readOptionalName(reader: RecordReader, key: string): string {
  const raw = reader.raw(key)
  return raw === undefined || raw === null || raw === '' ? '' : readName(reader, key)
}
