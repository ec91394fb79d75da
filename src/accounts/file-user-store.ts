import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ConfigError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { parseDump } from './dump.ts'
import { followFile } from './follow-file.ts'
import { looksHashed } from './password-hash.ts'
import type { Folder, Group, User } from './user.ts'
import { withCounters, type AccountChange, type UserStore } from './user-store.ts'
import type { Usage } from './usage.ts'

/** Where the file lies and what watches over it. */
export interface FileUserStoreOptions {
  /** JSON in the shape of SFTPGo's dump. */
  readonly path: string
  readonly usage: Usage
  readonly log: Logger
  /** How often the file is looked at. Default 1000. */
  readonly intervalMs?: number
}

/** Accounts in a file that is read again when it changes. */
export interface FileUserStore extends UserStore {
  /** Reads the file now. Throws a `ConfigError` and keeps what was read before when there is a mistake in it. */
  reload(): void
}

const mostFileBytes = 20 * 1024 * 1024

interface Accounts {
  readonly users: ReadonlyMap<string, User>
  readonly groups: ReadonlyMap<string, Group>
  readonly folders: ReadonlyMap<string, Folder>
}

/** Reads the file and follows its changes. Throws a `ConfigError` when it cannot be used at the start. */
export function openFileUserStore(options: FileUserStoreOptions): FileUserStore {
  const { path, usage, log } = options
  const listeners = new Set<(change: AccountChange) => void>()
  const unfollow = followFile(path, options.intervalMs ?? 1000, () => {
    try {
      reload()
    } catch (error) {
      log.error('users file not taken, the accounts read before stay', { path, error: messageOf(error) })
    }
  })
  let text: string
  let accounts: Accounts
  try {
    text = readText(path)
    accounts = parseAccounts(text, path, log)
  } catch (error) {
    unfollow()
    throw error
  }

  const reload = (): void => {
    const next = readText(path)
    if (next === text) return
    accounts = parseAccounts(next, path, log)
    text = next
    log.info('users file read', { path, users: accounts.users.size })
    for (const listener of listeners) listener({ of: 'all' })
  }
  const counted = (user: User): User => withCounters(user, usage.of({ kind: 'user', name: user.username }))
  const refuse = (name: string): never => {
    throw new ConfigError(
      'conflict',
      `Cannot change "${name}": it is kept in the file "${path}"; change it there`,
    )
  }
  return {
    reload,
    canChange: (username) => !accounts.users.has(username),
    findUser(username) {
      const user = accounts.users.get(username)
      return user === undefined ? undefined : counted(user)
    },
    findGroup: (name) => accounts.groups.get(name),
    findFolder: (name) => accounts.folders.get(name),
    listUsers: ({ after = '', limit = 1000 } = {}) =>
      [...accounts.users.values()]
        .filter(({ username }) => username > after)
        .sort((a, b) => (a.username < b.username ? -1 : 1))
        .slice(0, limit)
        .map(counted),
    listGroups: () => [...accounts.groups.values()],
    listFolders: () => [...accounts.folders.values()],
    get isEmpty() {
      return accounts.users.size === 0
    },
    putUser: async (user) => refuse(user.username),
    changeUser: async (username) => (accounts.users.has(username) ? refuse(username) : undefined),
    removeUser: async (username) => accounts.users.has(username) && refuse(username),
    putGroup: async (group) => refuse(group.name),
    removeGroup: async (name) => accounts.groups.has(name) && refuse(name),
    putFolder: async (folder) => refuse(folder.name),
    removeFolder: async (name) => accounts.folders.has(name) && refuse(name),
    noteLogin(username, at) {
      usage.noteLogin(username, at).catch(() => {
        // Under an overload the time of the last login may be an older one.
      })
    },
    watch(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      unfollow()
      listeners.clear()
    },
  }
}

function readText(path: string): string {
  try {
    const bytes = readFileSync(path)
    if (bytes.length > mostFileBytes) throw new Error(`it is larger than ${mostFileBytes} bytes`)
    return bytes.toString('utf8')
  } catch (error) {
    throw new ConfigError('file-unreadable', `Cannot read the users file "${path}": ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function parseAccounts(text: string, path: string, log: Logger): Accounts {
  const dump = parseDump(text)
  const first = dump.problems[0] ?? dump.users.find(({ problems }) => problems.length > 0)?.problems[0]
  if (first !== undefined) {
    const where = dump.line === undefined ? `"${path}"` : `"${path}", line ${dump.line}`
    throw new ConfigError('syntax', `Cannot use the users file ${where}: ${first}`)
  }
  const ignored = [dump.users, dump.groups, dump.folders].flatMap((records) =>
    records.flatMap(({ value, dropped }) =>
      dropped.map((field) => `"${'username' in value ? value.username : value.name}": ${field}`),
    ),
  )
  // A misspelt restriction would otherwise be none, and nobody the wiser.
  if (ignored.length > 0)
    log.warn('fields of the users file not known', {
      ...{ path, fields: ignored.slice(0, 20), count: ignored.length },
    })
  return {
    users: new Map(dump.users.map(({ value }) => [value.username, withoutPlainPassword(value)])),
    groups: new Map(dump.groups.map(({ value }) => [value.name, value])),
    folders: new Map(dump.folders.map(({ value }) => [value.name, value])),
  }
}

/**
 * People write passwords into such files as they are. In memory it becomes a digest, so that it is checked like any
 * other and never shown; the file itself is the place to put a hash.
 */
function withoutPlainPassword(user: User): User {
  if (user.password === undefined || looksHashed(user.password)) return user
  return { ...user, password: `{SHA512}${createHash('sha512').update(user.password).digest('hex')}` }
}
