import { resolve } from 'node:path'
import type { FilePattern, Folder, Group, Permission, User, UserFilters, VirtualFolder } from './user.ts'
import type { UserStore } from './user-store.ts'

/** What a user's record refers to. */
export interface Surroundings {
  group(name: string): Group | undefined
  folder(name: string): Folder | undefined
}

/** What records of users in this store refer to. */
export function surroundingsOf(store: Pick<UserStore, 'findGroup' | 'findFolder'>): Surroundings {
  return { group: (name) => store.findGroup(name), folder: (name) => store.findFolder(name) }
}

/** Rules that hold for every user of this server. */
export interface CompletionOptions {
  /** Homes are made here for users that have none; a plugin's users must live below it. */
  readonly usersBaseDir?: string
  /** Directories of the server itself: nobody's files may lie in or around them (S-49). */
  readonly protectedDirectories?: readonly string[]
  /** Files that the server reads, runs or loads: nobody's files may lie around them (S-49). */
  readonly protectedFiles?: readonly string[]
}

/** A user ready to work with, or the reason why there is none. */
export type Completed = { readonly user: User } | { readonly problem: string }

/** Merges groups into a user and replaces placeholders, in SFTPGo's order; checks what a session relies on. */
export function completeUser(user: User, around: Surroundings, options: CompletionOptions = {}): Completed {
  const groups: { readonly group: Group; readonly type: 1 | 2 }[] = []
  for (const { name, type } of [...(user.groups ?? [])].sort((a, b) => a.type - b.type)) {
    const group = around.group(name)
    if (group === undefined)
      return {
        problem: `Group "${name}" does not exist; "sftpgo-ts user import" makes it out of {"groups": [{"name": "${name}"}]}`,
      }
    if (type !== 3) groups.push({ group, type })
  }
  const merged = groups.reduce((one, { group, type }) => mergeGroup(one, group, type), user)
  const mounts = resolveMounts(merged, around)
  if ('problem' in mounts) return mounts
  const home = homeOf(merged, options)
  const whole: User = {
    ...merged,
    home_dir: home,
    ...(mounts.folders.length > 0 && { virtual_folders: mounts.folders }),
  }
  const problem = completeProblem(whole, options)
  return problem === undefined ? { user: whole } : { problem }
}

function homeOf(user: User, { usersBaseDir }: CompletionOptions): string {
  if (user.home_dir !== '') return fill(user.home_dir, user)
  return usersBaseDir === undefined || usersBaseDir === '' ? '' : resolve(usersBaseDir, user.username)
}

function completeProblem(
  user: User,
  { protectedDirectories = [], protectedFiles = [] }: CompletionOptions,
): string | undefined {
  if (!user.home_dir.startsWith('/')) return 'The user has no absolute home directory'
  if ((user.permissions['/'] ?? []).length === 0) return 'The user has no permissions on "/"'
  const roots = [user.home_dir, ...(user.virtual_folders ?? []).map((folder) => folder.mapped_path ?? '')]
  for (const root of roots) {
    const near = protectedDirectories.find((one) => isInside(root, one) || isInside(one, root))
    if (root !== '' && near !== undefined) return `"${root}" and the server's own directory "${near}" overlap`
    const within = root === '' ? undefined : protectedFiles.find((one) => isInside(one, root))
    if (within !== undefined) return `The server's own file "${within}" lies in "${root}"`
  }
  return undefined
}

/** Whether `path` is `directory` or lies below it. */
export function isInside(path: string, directory: string): boolean {
  const [inner, outer] = [resolve(path), resolve(directory)]
  return inner === outer || inner.startsWith(outer === '/' ? '/' : `${outer}/`)
}

function resolveMounts(user: User, around: Surroundings): { folders: VirtualFolder[] } | { problem: string } {
  const folders: VirtualFolder[] = []
  for (const mount of user.virtual_folders ?? []) {
    const folder = around.folder(mount.name)
    const path = folder?.mapped_path ?? mount.mapped_path
    if (path === undefined) return { problem: `Folder "${mount.name}" does not exist` }
    const filesystem = folder?.filesystem ?? mount.filesystem
    folders.push({ ...mount, mapped_path: fill(path, user), ...(filesystem !== undefined && { filesystem }) })
  }
  return { folders }
}

/** Replaces the placeholders. Names are checked where accounts are made, so none of them can lead elsewhere. */
function fill(text: string, user: User): string {
  return text.replaceAll('%username%', user.username).replaceAll('%role%', user.role ?? '')
}

function mergeGroup(user: User, group: Group, type: 1 | 2): User {
  return addShared(type === 1 ? takePrimary(user, group) : user, group, type)
}

/** What only the primary group gives: home and file system replace, the rest fills what the user leaves at zero. */
function takePrimary(user: User, { user_settings: group }: Group): User {
  const transfers = (['upload_data_transfer', 'download_data_transfer', 'total_data_transfer'] as const).some(
    (key) => (user[key] ?? 0) > 0,
  )
  const expires = group.expires_in ?? 0
  return {
    ...user,
    ...((group.home_dir ?? '') !== '' && { home_dir: fill(group.home_dir ?? '', user) }),
    ...(group.filesystem !== undefined && { filesystem: group.filesystem }),
    max_sessions: user.max_sessions || (group.max_sessions ?? 0),
    quota_size: user.quota_size || (group.quota_size ?? 0),
    quota_files: user.quota_files || (group.quota_files ?? 0),
    upload_bandwidth: user.upload_bandwidth || (group.upload_bandwidth ?? 0),
    download_bandwidth: user.download_bandwidth || (group.download_bandwidth ?? 0),
    ...(!transfers && {
      upload_data_transfer: group.upload_data_transfer ?? 0,
      download_data_transfer: group.download_data_transfer ?? 0,
      total_data_transfer: group.total_data_transfer ?? 0,
    }),
    // A plugin's user who is not stored yet begins now.
    ...(user.expiration_date === 0 &&
      user.created_at > 0 &&
      expires > 0 && { expiration_date: user.created_at + expires * 86_400_000 }),
    filters: takePrimaryFilters(user, group.filters ?? {}),
  }
}

function takePrimaryFilters(user: User, group: UserFilters): UserFilters {
  const own = user.filters
  const hook = (name: 'external_auth_disabled' | 'pre_login_disabled' | 'check_password_disabled'): boolean =>
    own.hooks?.[name] === true || group.hooks?.[name] === true
  return {
    ...own,
    max_upload_file_size: own.max_upload_file_size || (group.max_upload_file_size ?? 0),
    external_auth_cache_time: own.external_auth_cache_time || (group.external_auth_cache_time ?? 0),
    password_expiration: own.password_expiration || (group.password_expiration ?? 0),
    password_strength: own.password_strength || (group.password_strength ?? 0),
    start_directory: own.start_directory || fill(group.start_directory ?? '', user),
    disable_fs_checks: own.disable_fs_checks === true || group.disable_fs_checks === true,
    is_anonymous: own.is_anonymous === true || group.is_anonymous === true,
    hooks: {
      external_auth_disabled: hook('external_auth_disabled'),
      pre_login_disabled: hook('pre_login_disabled'),
      check_password_disabled: hook('check_password_disabled'),
    },
  }
}

/** What primary and secondary groups add. "/" comes from the primary group alone. */
function addShared(user: User, group: Group, type: 1 | 2): User {
  const filters = group.user_settings.filters ?? {}
  const both = <K extends ListFilter>(key: K): UserFilters[K] => {
    const joined = [...(user.filters[key] ?? []), ...(filters[key] ?? [])]
    return (joined.length > 0 ? joined : undefined) as UserFilters[K] // the two lists have this type
  }
  return {
    ...user,
    permissions: addPermissions(user, group.user_settings.permissions ?? {}, type),
    virtual_folders: addByPath(
      user,
      user.virtual_folders ?? [],
      group.virtual_folders ?? [],
      type,
      'virtual_path',
    ),
    filters: withoutUndefined({
      ...user.filters,
      ...Object.fromEntries(listFilters.map((key) => [key, both(key)])),
      file_patterns: addByPath<FilePattern>(
        user,
        user.filters.file_patterns ?? [],
        filters.file_patterns ?? [],
        type,
        'path',
      ),
    }),
  }
}

type ListFilter = (typeof listFilters)[number]

const listFilters = [
  ...(['allowed_ip', 'denied_ip', 'denied_login_methods', 'denied_protocols', 'bandwidth_limits'] as const),
  ...(['two_factor_protocols', 'access_time', 'web_client'] as const),
] as const

function addPermissions(
  user: User,
  added: Readonly<Record<string, readonly Permission[]>>,
  type: 1 | 2,
): Record<string, readonly Permission[]> {
  const result: Record<string, readonly Permission[]> = { ...user.permissions }
  for (const [path, permissions] of Object.entries(added)) {
    if (path === '/') {
      if (type === 1) result['/'] = permissions
      continue
    }
    const filled = fill(path, user)
    if (!Object.hasOwn(result, filled)) result[filled] = permissions
  }
  return result
}

function addByPath<T extends object>(
  user: User,
  own: readonly T[],
  added: readonly T[],
  type: 1 | 2,
  key: keyof T & string,
): T[] {
  const result = [...own]
  for (const one of added) {
    const path = fill(String(one[key]), user)
    if (String(one[key]) === '/' && type !== 1) continue
    if (!result.some((other) => other[key] === path)) result.push({ ...one, [key]: path })
  }
  return result
}

function withoutUndefined(filters: { [K in keyof UserFilters]: UserFilters[K] | undefined }): UserFilters {
  return Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined)) as UserFilters // the rest is defined
}
