import type { Folder, Group, User } from './user.ts'

/** Where accounts are kept. Reads are immediate; changes return when they are written down. */
export interface UserStore {
  /** Whether this user is, or would be, kept where changes are accepted: users of a users file are not. */
  canChange(username: string): boolean
  findUser(username: string): User | undefined
  findGroup(name: string): Group | undefined
  findFolder(name: string): Folder | undefined
  /** Users by name, after `after`, at most `limit`. */
  listUsers(page?: { readonly after?: string; readonly limit?: number }): User[]
  listGroups(): Group[]
  listFolders(): Folder[]
  /** Whether there is any user at all. */
  readonly isEmpty: boolean
  /**
   * Makes or replaces a user. Counters (quota, last login, first transfers) of an existing user stay as they are,
   * and two calls at once for a new name both succeed: one makes it, the other replaces it.
   */
  putUser(user: User): Promise<User>
  /** Changes some fields of an existing user, on what is stored at that moment. Undefined when there is none. */
  changeUser(username: string, change: (user: User) => User): Promise<User | undefined>
  /** Whether there was one. */
  removeUser(username: string): Promise<boolean>
  putGroup(group: Group): Promise<void>
  removeGroup(name: string): Promise<boolean>
  putFolder(folder: Folder): Promise<void>
  removeFolder(name: string): Promise<boolean>
  /** Notes a login; never waits and may be dropped under load. */
  noteLogin(username: string, at: number): void
  /** Hears of every change of an account; the returned function ends that. */
  watch(listener: (change: AccountChange) => void): () => void
  close(): Promise<void>
}

/** An account changed: who, and what it is now. `all` after a users file was read again. */
export type AccountChange =
  { readonly of: 'user'; readonly username: string; readonly user: User | undefined } | { readonly of: 'all' }

/** What the server itself counts about a user or a folder. */
export interface Counters {
  readonly used_quota_size: number
  readonly used_quota_files: number
  readonly last_quota_update: number
  readonly last_login: number
  readonly first_download: number
  readonly first_upload: number
  readonly used_upload_data_transfer: number
  readonly used_download_data_transfer: number
}

/** Counts of a user or folder that nothing was counted for. */
export const noCounters: Counters = {
  ...{ used_quota_size: 0, used_quota_files: 0, last_quota_update: 0, last_login: 0 },
  ...{ first_download: 0, first_upload: 0, used_upload_data_transfer: 0, used_download_data_transfer: 0 },
}

/** `user` with these counts in place of its own. */
export function withCounters(user: User, counters: Counters): User {
  return { ...user, ...counters }
}
