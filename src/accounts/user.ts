import type { StoredSecret } from '../secrets/secret.ts'

/** Rights on a virtual path, with SFTPGo's names and meaning. */
export type Permission =
  | '*'
  | 'list'
  | 'download'
  | 'upload'
  | 'overwrite'
  | 'delete'
  | 'delete_files'
  | 'delete_dirs'
  | 'rename'
  | 'rename_files'
  | 'rename_dirs'
  | 'create_dirs'
  | 'create_symlinks'
  | 'chmod'
  | 'chown'
  | 'chtimes'
  | 'copy'

/** An account as stored, in SFTPGo's own JSON form: the fields that we support, under its names. */
export interface User {
  readonly id: number
  /** 1 enabled, 0 disabled. */
  readonly status: 0 | 1
  readonly username: string
  readonly email?: string
  readonly description?: string
  readonly additional_info?: string
  /** Milliseconds since 1970; 0 never. */
  readonly expiration_date: number
  /** A hash in one of the known forms; empty when the user has no password. */
  readonly password?: string
  /** authorized-keys lines without options. */
  readonly public_keys?: readonly string[]
  readonly home_dir: string
  readonly uid: number
  readonly gid: number
  readonly max_sessions: number
  readonly quota_size: number
  readonly quota_files: number
  readonly used_quota_size: number
  readonly used_quota_files: number
  readonly last_quota_update: number
  /** Virtual directory (wildcards as in SFTPGo) to what is allowed there; `/` is always present in a complete user. */
  readonly permissions: Readonly<Record<string, readonly Permission[]>>
  /** Kilobytes a second for one transfer; 0 unlimited. */
  readonly upload_bandwidth: number
  readonly download_bandwidth: number
  /** Megabytes; 0 unlimited. */
  readonly upload_data_transfer?: number
  readonly download_data_transfer?: number
  readonly total_data_transfer?: number
  readonly used_upload_data_transfer?: number
  readonly used_download_data_transfer?: number
  readonly last_login: number
  readonly first_download?: number
  readonly first_upload?: number
  readonly last_password_change?: number
  readonly created_at: number
  readonly updated_at: number
  readonly filters: UserFilters
  readonly virtual_folders?: readonly VirtualFolder[]
  readonly filesystem: FilesystemConfig
  readonly groups?: readonly GroupMembership[]
  readonly role?: string
}

/** Membership in a group: 1 primary (at most one), 2 secondary, 3 without settings. */
export interface GroupMembership {
  readonly name: string
  readonly type: 1 | 2 | 3
}

/** Conditions and restrictions of an account. */
export interface UserFilters {
  readonly allowed_ip?: readonly string[]
  readonly denied_ip?: readonly string[]
  readonly denied_login_methods?: readonly string[]
  readonly denied_protocols?: readonly string[]
  readonly file_patterns?: readonly FilePattern[]
  readonly max_upload_file_size?: number
  readonly hooks?: {
    readonly external_auth_disabled?: boolean
    readonly pre_login_disabled?: boolean
    readonly check_password_disabled?: boolean
  }
  readonly disable_fs_checks?: boolean
  readonly web_client?: readonly string[]
  readonly user_type?: string
  readonly bandwidth_limits?: readonly {
    readonly sources: readonly string[]
    readonly upload_bandwidth?: number
    readonly download_bandwidth?: number
  }[]
  readonly external_auth_cache_time?: number
  readonly start_directory?: string
  readonly two_factor_protocols?: readonly string[]
  readonly is_anonymous?: boolean
  readonly password_expiration?: number
  readonly password_strength?: number
  readonly access_time?: readonly {
    readonly day_of_week: number
    readonly from: string
    readonly to: string
  }[]
  readonly require_password_change?: boolean
  readonly additional_emails?: readonly string[]
  readonly totp_config?: TotpConfig
}

/** A user's second factor. */
export interface TotpConfig {
  readonly enabled?: boolean
  readonly config_name?: string
  readonly secret?: StoredSecret
  readonly protocols?: readonly string[]
}

/** Which names are allowed below a virtual directory. */
export interface FilePattern {
  readonly path: string
  readonly allowed_patterns?: readonly string[]
  readonly denied_patterns?: readonly string[]
  /** 0: visible but refused; 1: hidden. */
  readonly deny_policy?: 0 | 1
}

/** What members of a group share. Its settings stand under SFTPGo's names, each meaning what it means in a user. */
export interface Group {
  readonly id: number
  readonly name: string
  readonly description?: string
  readonly created_at: number
  readonly updated_at: number
  readonly user_settings: GroupSettings
  readonly virtual_folders?: readonly VirtualFolder[]
}

/** Settings of a group that its members take over. */
export interface GroupSettings {
  readonly home_dir?: string
  readonly max_sessions?: number
  readonly quota_size?: number
  readonly quota_files?: number
  readonly permissions?: Readonly<Record<string, readonly Permission[]>>
  readonly upload_bandwidth?: number
  readonly download_bandwidth?: number
  readonly upload_data_transfer?: number
  readonly download_data_transfer?: number
  readonly total_data_transfer?: number
  /** Days from the creation of the user. */
  readonly expires_in?: number
  readonly filters?: UserFilters
  readonly filesystem?: FilesystemConfig
}

/** A directory that users and groups can mount by its name. */
export interface Folder {
  readonly id: number
  readonly name: string
  readonly description?: string
  readonly mapped_path?: string
  /** Only where a record comes from elsewhere; from then on it is counted apart. */
  readonly used_quota_size?: number
  readonly used_quota_files?: number
  readonly last_quota_update?: number
  readonly filesystem?: FilesystemConfig
}

/** Another directory mounted at a virtual path. Quota 0 is unlimited; -1 counts in the user's quota. */
export interface VirtualFolder {
  readonly name: string
  readonly virtual_path: string
  readonly mapped_path?: string
  readonly description?: string
  readonly quota_size: number
  readonly quota_files: number
  readonly used_quota_size?: number
  readonly used_quota_files?: number
  readonly filesystem?: FilesystemConfig
}

/** Where an account's bytes live: 0 local disk, 4 local disk encrypted. Other numbers are SFTPGo's and refused with a reason. */
export interface FilesystemConfig {
  readonly provider: number
  readonly osconfig?: { readonly read_buffer_size?: number; readonly write_buffer_size?: number }
  readonly cryptconfig?: { readonly passphrase?: StoredSecret }
}
