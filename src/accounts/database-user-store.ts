import type { Database } from '../database/open-database.ts'
import type { Step } from '../database/writer.ts'
import type { Folder, Group, User } from './user.ts'
import { noCounters, withCounters, type AccountChange, type Counters, type UserStore } from './user-store.ts'
import type { Usage } from './usage.ts'

/** What the store stands on. */
export interface DatabaseUserStoreOptions {
  readonly database: Database
  readonly usage: Usage
  readonly now: () => number
}

interface StoredRow {
  readonly id: number
  readonly record: string
}

/** Keeps accounts in the database. */
export function createDatabaseUserStore({ database, usage, now }: DatabaseUserStoreOptions): UserStore {
  const listeners = new Set<(change: AccountChange) => void>()
  const one = (table: string, key: string): ((name: string) => StoredRow | undefined) => {
    const query = database.query<StoredRow>(`select id, record from ${table} where ${key} = ?`)
    return (name) => query.get(name)
  }
  const rows = {
    user: one('account_user', 'username'),
    group: one('account_group', 'name'),
    folder: one('account_folder', 'name'),
  }
  const userPage = database.query<StoredRow>(
    'select id, record from account_user where username > ? order by username limit ?',
  )
  const allGroups = database.query<StoredRow>('select id, record from account_group order by name')
  const allFolders = database.query<StoredRow>('select id, record from account_folder order by name')
  const anyUser = database.query<{ readonly id: number }>('select id from account_user limit 1')

  const userOf = (row: StoredRow): User => {
    const user = userRecord(row)
    return withCounters(user, usage.of({ kind: 'user', name: user.username }))
  }
  const findUser = (username: string): User | undefined => {
    const row = rows.user(username)
    return row === undefined ? undefined : userOf(row)
  }
  const tell = (username: string): void => {
    const change = { of: 'user', username, user: findUser(username) } as const
    for (const listener of listeners) listener(change)
  }
  const putNamed = async (table: string, name: string, record: string, ...more: Step[]): Promise<void> => {
    await database.writer.write([
      {
        sql: `insert into ${table} (name, record) values (?, ?) on conflict (name) do update set record = excluded.record`,
        values: [name, record],
      },
      ...more,
    ])
    for (const listener of listeners) listener({ of: 'all' })
  }
  const removeNamed = async (table: string, name: string, ...more: Step[]): Promise<boolean> => {
    const removal = { sql: `delete from ${table} where name = ?`, values: [name], mustChange: true }
    const { applied } = await database.writer.write([removal, ...more])
    if (applied) for (const listener of listeners) listener({ of: 'all' })
    return applied
  }
  return {
    canChange: () => true,
    findUser,
    findGroup: (name) => found(rows.group(name), groupRecord),
    findFolder: (name) => found(rows.folder(name), folderRecord),
    listUsers: ({ after = '', limit = 1000 } = {}) => userPage.all(after, limit).map(userOf),
    listGroups: () => allGroups.all().map(groupRecord),
    listFolders: () => allFolders.all().map(folderRecord),
    get isEmpty() {
      return anyUser.get() === undefined
    },
    async putUser(user) {
      const record = recordText({ ...user, created_at: user.created_at || now(), updated_at: now() })
      await database.writer.write([
        {
          sql: `insert into account_user (username, record) values (?, ?)
                on conflict (username) do update set record = excluded.record`,
          values: [user.username, record],
        },
        usage.takeOverStep({ kind: 'user', name: user.username }, countersOf(user)),
      ])
      tell(user.username)
      return findUser(user.username) ?? user
    },
    async changeUser(username, change) {
      for (;;) {
        const row = rows.user(username)
        if (row === undefined) return undefined
        const record = recordText({ ...change(userOf(row)), username, updated_at: now() })
        const { applied } = await database.writer.write([
          {
            sql: 'update account_user set record = ? where username = ? and record = ?',
            values: [record, username, row.record],
            mustChange: true,
          },
        ])
        // Somebody else changed it in between: their change is kept, ours is made upon it.
        if (!applied) continue
        tell(username)
        return findUser(username)
      }
    },
    async removeUser(username) {
      const { applied } = await database.writer.write([
        { sql: 'delete from account_user where username = ?', values: [username], mustChange: true },
        usage.forgetStep({ kind: 'user', name: username }),
      ])
      if (applied) tell(username)
      return applied
    },
    putGroup: (group) =>
      putNamed('account_group', group.name, JSON.stringify({ ...group, updated_at: now() })),
    removeGroup: (name) => removeNamed('account_group', name),
    putFolder: (folder) =>
      putNamed(
        ...(['account_folder', folder.name, recordText(folder)] as const),
        usage.takeOverStep({ kind: 'folder', name: folder.name }, countersOf(folder)),
      ),
    removeFolder: (name) => removeNamed('account_folder', name, usage.forgetStep({ kind: 'folder', name })),
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
      listeners.clear()
    },
  }
}

/** The record as it was written by this file, with its number: only records that were parsed are ever written. */
const userRecord = ({ id, record }: StoredRow): User => ({ ...(JSON.parse(record) as User), id })
const groupRecord = ({ id, record }: StoredRow): Group => ({ ...(JSON.parse(record) as Group), id })
const folderRecord = ({ id, record }: StoredRow): Folder => ({ ...(JSON.parse(record) as Folder), id })

function found<T>(row: StoredRow | undefined, read: (row: StoredRow) => T): T | undefined {
  return row === undefined ? undefined : read(row)
}

const counterNames = new Set(Object.keys(noCounters))

function recordText(record: User | Folder): string {
  return JSON.stringify(record, (key, value: unknown) => (counterNames.has(key) ? undefined : value))
}

function countersOf(user: User | Folder): Partial<Counters> {
  return Object.fromEntries(
    Object.entries(user).filter(([key, value]) => counterNames.has(key) && value !== undefined),
  )
}
