import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { completeUser } from '../../src/accounts/complete-user.ts'
import { createDatabaseUserStore } from '../../src/accounts/database-user-store.ts'
import { parseDump } from '../../src/accounts/dump.ts'
import { openFileUserStore, type FileUserStore } from '../../src/accounts/file-user-store.ts'
import { layerUserStores } from '../../src/accounts/layered-user-store.ts'
import { parseGroup, parseUser } from '../../src/accounts/parse-user.ts'
import { createUsageCounters } from '../../src/accounts/usage-counters.ts'
import { createUsage, type Usage } from '../../src/accounts/usage.ts'
import type { Group, User } from '../../src/accounts/user.ts'
import type { AccountChange, UserStore } from '../../src/accounts/user-store.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger, type LogFields } from '../../src/base/log.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import { emptyDatabase, testUser } from './login-rig.ts'

let database: Database
let usage: Usage
let store: UserStore
let folder: string
beforeAll(async () => {
  database = await openDatabase({ durable: false })
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-stores-'))
})
afterAll(async () => {
  await database.close()
  rmSync(folder, { recursive: true })
})
beforeEach(async () => {
  await emptyDatabase(database)
  usage = createUsage(database, Date.now)
  store = createDatabaseUserStore({ database, usage, now: Date.now })
})

const group = (name: string, fields: Partial<Group> = {}): Group => ({
  ...{ id: 0, name, created_at: 0, updated_at: 0, user_settings: {} },
  ...fields,
})

describe('users in the database', () => {
  it('are found as they were put, with a number of their own', async () => {
    const stored = await store.putUser(testUser({ username: 'ada', email: 'ada@example.org' }))
    expect(stored.id).toBeGreaterThan(0)
    expect(store.findUser('ada')).toEqual(stored)
    expect(store.findUser('Ada')).toBeUndefined()
    expect([store.isEmpty, store.listUsers().length]).toEqual([false, 1])
  })

  it('keep their counters when they are replaced', async () => {
    await store.putUser(testUser({ username: 'ada' }))
    await usage.addQuota({ kind: 'user', name: 'ada' }, { size: 100, files: 2 })
    await store.putUser(testUser({ username: 'ada', used_quota_size: 5 }))
    expect(store.findUser('ada')).toMatchObject({ used_quota_size: 100, used_quota_files: 2 })
  })

  it('lose no change when two are made at once', async () => {
    await store.putUser(testUser({ username: 'ada' }))
    await Promise.all(
      Array.from({ length: 10 }, () =>
        store.changeUser('ada', (user) => ({ ...user, max_sessions: user.max_sessions + 1 })),
      ),
    )
    expect(store.findUser('ada')?.max_sessions).toBe(10)
  })

  it('tell who watches, and tell them no more afterwards', async () => {
    const changes: AccountChange[] = []
    const end = store.watch((change) => changes.push(change))
    await store.putUser(testUser({ username: 'ada' }))
    await store.removeUser('ada')
    await store.putGroup(group('staff'))
    end()
    await store.putUser(testUser({ username: 'bob' }))
    expect(
      changes.map((change) => (change.of === 'user' ? [change.username, change.user === undefined] : 'all')),
    ).toEqual([['ada', false], ['ada', true], 'all'])
  })

  it('come back after the database was closed', async () => {
    const path = join(folder, 'kept.db')
    const first = await openDatabase({ path })
    const open = (database: Database): UserStore =>
      createDatabaseUserStore({ database, usage: createUsage(database, Date.now), now: Date.now })
    await open(first).putUser(testUser({ username: 'ada' }))
    await first.close()
    const second = await openDatabase({ path })
    expect(open(second).findUser('ada')).toMatchObject({ username: 'ada' })
    await second.close()
  })

  it('are listed in pages', async () => {
    for (const name of ['c', 'a', 'b']) await store.putUser(testUser({ username: name }))
    const names = (page?: { after?: string; limit?: number }): string[] =>
      store.listUsers(page).map(({ username }) => username)
    expect(names()).toEqual(['a', 'b', 'c'])
    expect(names({ after: 'a', limit: 1 })).toEqual(['b'])
  })
})

describe('usage', () => {
  it('is counted at once and written a little later; never below nothing', async () => {
    await store.putUser(testUser({ username: 'ada' }))
    const counters = createUsageCounters(usage, systemClock, silentLogger)
    const ada = counters.user('ada')
    ada.add({ size: 500, files: 2 })
    counters.user('ada').add({ size: -100, files: -1 })
    expect([ada.size, ada.files]).toEqual([400, 1])
    await counters.close()
    expect(store.findUser('ada')).toMatchObject({ used_quota_size: 400, used_quota_files: 1 })
    ada.add({ size: -1000, files: -9 })
    expect([ada.size, ada.files]).toEqual([0, 0])
    await counters.close()
    expect(store.findUser('ada')).toMatchObject({ used_quota_size: 0, used_quota_files: 0 })
  })

  it('marks the first upload and download once in a lifetime', async () => {
    const counters = createUsageCounters(usage, systemClock, silentLogger)
    expect(counters.markFirst('ada', 'first-upload')).toBe(true)
    expect(counters.markFirst('ada', 'first-upload')).toBe(false)
    expect(counters.markFirst('ada', 'first-download')).toBe(true)
    await expect.poll(() => usage.of({ kind: 'user', name: 'ada' }).first_upload).toBeGreaterThan(0)
    expect(createUsageCounters(usage, systemClock, silentLogger).markFirst('ada', 'first-upload')).toBe(false)
  })
})

describe('users in a file', () => {
  const logged: { message: string; fields: LogFields | undefined }[] = []
  const log = {
    ...silentLogger,
    error: (message: string, fields?: LogFields) => void logged.push({ message, fields }),
    warn: (message: string, fields?: LogFields) => void logged.push({ message, fields }),
  }
  let file: FileUserStore | undefined
  afterEach(async () => {
    await file?.close()
    logged.length = 0
  })
  const write = (name: string, content: unknown): string => {
    const path = join(folder, name)
    // As editors and git do it: a new file takes the place of the old one.
    writeFileSync(`${path}.new`, typeof content === 'string' ? content : JSON.stringify(content))
    renameSync(`${path}.new`, path)
    return path
  }
  const user = (username: string, more: object = {}): object => ({
    ...{ username, status: 1, home_dir: `/srv/${username}`, permissions: { '/': ['*'] } },
    ...more,
  })

  it('are read at start and again when the file changes', async () => {
    const path = write('users.json', { users: [user('ada')] })
    file = openFileUserStore({ path, usage, log, intervalMs: 20 })
    const changes: AccountChange[] = []
    file.watch((change) => changes.push(change))
    expect(file.listUsers().map(({ username }) => username)).toEqual(['ada'])
    write('users.json', { users: [user('ada'), user('bob')] })
    await expect.poll(() => file?.findUser('bob')?.home_dir).toBe('/srv/bob')
    expect(changes).toEqual([{ of: 'all' }])
  })

  it('stay as they were when there is a mistake in the file, and the log says where', async () => {
    const path = write('broken.json', { users: [user('ada')] })
    file = openFileUserStore({ path, usage, log, intervalMs: 20 })
    write('broken.json', '{\n "users": [\n  {"username": "ada",,}\n ]\n}')
    await expect.poll(() => logged.length).toBe(1)
    expect(String(logged[0]?.fields?.['error'])).toContain(
      'line 3: column 22: expected a name in double quotes',
    )
    write('broken.json', { users: [user('ada'), user('bob', { permissions: { '/': ['fly'] } })] })
    await expect.poll(() => logged.length).toBe(2)
    expect(String(logged[1]?.fields?.['error'])).toContain(
      'users[1] ("bob"): permissions./: "fly" is not a permission',
    )
    write('broken.json', `{\n "users": [\n  {"username": "ada",\n   "password": s3cret}]}`)
    await expect.poll(() => logged.length).toBe(3)
    expect(String(logged[2]?.fields?.['error'])).toContain('line 4: column 16: expected a value')
    const bob = { ...user('bob'), filters: { denied_ip: ['10.0.0.1', 'nowhere'] } }
    write('broken.json', JSON.stringify({ users: [user('ada'), bob] }, undefined, 1))
    await expect.poll(() => logged.length).toBe(4)
    expect(String(logged[3]?.fields?.['error'])).toMatch(
      /line 2\d: users\[1\] \("bob"\): filters\.denied_ip:/,
    )
    expect(file.listUsers()).toHaveLength(1)
    expect(JSON.stringify(logged)).not.toContain('s3cret')
  })

  it('are taken over without fields that are not known, and the log names those', () => {
    const path = write('misspelt.json', { users: [user('ada', { filters: { denied_ips: ['10.0.0.1'] } })] })
    file = openFileUserStore({ path, usage, log })
    expect(logged).toEqual([
      {
        message: 'fields of the users file not known',
        fields: { path, count: 1, fields: ['"ada": filters.denied_ips: not supported here'] },
      },
    ])
  })

  it('keep the server from starting when the file cannot be used', () => {
    const path = write('twice.json', { users: [user('ada'), user('ada')] })
    const open = (path: string) => () => openFileUserStore({ path, usage, log })
    expect(open(path)).toThrow('"ada" is there twice')
    expect(open(join(folder, 'missing.json'))).toThrow('Cannot read the users file')
    expect(open(write('list.json', []))).toThrow('expected an object')
  })

  it('come before those of the database, and are changed in the file alone', async () => {
    const path = write('layered.json', { users: [user('ada', { description: 'file', password: 'plain' })] })
    file = openFileUserStore({ path, usage, log })
    await store.putUser(testUser({ username: 'ada', description: 'database' }))
    await store.putUser(testUser({ username: 'bob' }))
    const both = layerUserStores(file, store)
    expect(both.findUser('ada')?.description).toBe('file')
    // What people write in clear is not kept in clear.
    expect(both.findUser('ada')?.password).toMatch(/^\{SHA512\}/)
    expect(both.listUsers().map(({ username }) => username)).toEqual(['ada', 'bob'])
    await expect(both.putUser(testUser({ username: 'ada' }))).rejects.toThrow('change it there')
    await both.putUser(testUser({ username: 'carl' }))
    expect(store.findUser('carl')).toBeDefined()
  })
})

describe('groups', () => {
  const complete = (user: User, groups: readonly Group[] = []): User => {
    const completed = completeUser(user, {
      group: (name) => groups.find((one) => one.name === name),
      folder: (name) =>
        name === 'shared' ? { id: 1, name, mapped_path: '/srv/shared/%username%' } : undefined,
    })
    if ('problem' in completed) throw new Error(completed.problem)
    return completed.user
  }

  it('give what the user leaves open, and the primary one its home', () => {
    const primary = group('p', {
      user_settings: {
        ...{ home_dir: '/srv/%role%/%username%', max_sessions: 5, quota_size: 10, expires_in: 2 },
        permissions: { '/': ['list'], '/in/%username%': ['upload'] },
        filters: { start_directory: '/in', max_upload_file_size: 9, hooks: { external_auth_disabled: true } },
      },
      virtual_folders: [{ name: 'shared', virtual_path: '/shared', quota_size: -1, quota_files: -1 }],
    })
    const user = complete(
      testUser({
        username: 'ada',
        role: 'eng',
        quota_size: 7,
        created_at: 1000,
        groups: [{ name: 'p', type: 1 }],
      }),
      [primary],
    )
    expect(user).toMatchObject({
      ...{ home_dir: '/srv/eng/ada', max_sessions: 5, quota_size: 7, expiration_date: 1000 + 2 * 86_400_000 },
      permissions: { '/': ['list'], '/in/ada': ['upload'] },
      filters: { start_directory: '/in', max_upload_file_size: 9, hooks: { external_auth_disabled: true } },
      virtual_folders: [{ virtual_path: '/shared', mapped_path: '/srv/shared/ada' }],
    })
  })

  it('take nothing away where they say nothing, also as they come out of a dump', () => {
    const { value: staff } = parseGroup({ name: 'staff', user_settings: { quota_files: 9, home_dir: '' } })
    const older = { ...staff, user_settings: { ...staff.user_settings, home_dir: '' } }
    for (const one of [staff, older])
      expect(
        complete(testUser({ username: 'ada', groups: [{ name: 'staff', type: 1 }] }), [one]),
      ).toMatchObject({
        ...{ home_dir: '/srv/ada', permissions: { '/': ['*'] }, quota_files: 9 },
      })
  })

  it('let nobody expire who is not stored yet: a user of a plugin begins at the login', () => {
    const brief = group('brief', { user_settings: { expires_in: 2 } })
    const user = testUser({ username: 'ada', groups: [{ name: 'brief', type: 1 }] })
    expect(complete(user, [brief]).expiration_date).toBe(0)
    expect(complete({ ...user, created_at: 1000 }, [brief]).expiration_date).toBe(1000 + 2 * 86_400_000)
  })

  it('add lists from primary and secondary ones; "/" comes from the primary alone; members get nothing', () => {
    const filters = (address: string) => ({ denied_ip: [address], denied_protocols: ['FTP'] })
    const groups = [
      group('first', { user_settings: { filters: filters('10.0.0.0/8'), max_sessions: 3 } }),
      group('second', {
        user_settings: {
          filters: filters('11.0.0.0/8'),
          max_sessions: 9,
          permissions: { '/': ['list'], '/x': ['list'] },
        },
      }),
      group('third', { user_settings: { filters: filters('12.0.0.0/8') } }),
    ]
    const user = complete(
      testUser({
        username: 'ada',
        groups: [
          { name: 'third', type: 3 },
          { name: 'second', type: 2 },
          { name: 'first', type: 1 },
        ],
      }),
      groups,
    )
    expect(user.filters.denied_ip).toEqual(['10.0.0.0/8', '11.0.0.0/8'])
    expect(user).toMatchObject({ max_sessions: 3, permissions: { '/': ['*'], '/x': ['list'] } })
  })

  it('make a member anonymous, who then cannot log in over SSH (row 32)', () => {
    const anonymous = group('guests', { user_settings: { filters: { is_anonymous: true } } })
    const user = complete(testUser({ username: 'ada', groups: [{ name: 'guests', type: 1 }] }), [anonymous])
    expect(user.filters.is_anonymous).toBe(true)
  })
})

describe('a dump of SFTPGo with every field', () => {
  const dump = parseDump(readFileSync(new URL('../fixtures/sftpgo-dump.json', import.meta.url), 'utf8'))
  const user = (name: string) => dump.users.find(({ value }) => value.username === name)

  it('is read, and says of each user what is not carried over', () => {
    expect(dump.problems).toEqual([])
    expect(user('everything')?.problems).toEqual([])
    expect(user('everything')?.dropped).toEqual([
      'filters.tls_username: not supported here',
      'filters.tls_certs: not supported here',
      'filters.allow_api_key_auth: not supported here',
      'filters.ftp_security: not supported here',
      'filters.default_shares_expiration: not supported here',
      'filters.max_shares_expiration: not supported here',
      'filters.recovery_codes: not supported here',
    ])
    expect(dump.dropped).toEqual([
      'admins (1)',
      'api_keys (1)',
      'shares (1)',
      'event_actions (1)',
      'event_rules (1)',
      'roles (1)',
      'configs',
    ])
    expect(dump.addressRules).toEqual([
      { network: '10.0.0.0/8', list: 'allow', note: 'office' },
      { network: '203.0.113.0/24', list: 'deny', note: 'scanner' },
      { network: '192.0.2.1', list: 'safe', note: '' },
    ])
  })

  it('carries over every field that this server supports', () => {
    expect(user('everything')?.value).toMatchObject({
      ...{
        status: 1,
        uid: 1001,
        gid: 1002,
        max_sessions: 3,
        quota_size: 1_000_000,
        quota_files: 50,
        role: 'sales',
      },
      ...{
        used_quota_size: 77,
        last_login: 1_700_000_000_000,
        upload_bandwidth: 128,
        total_data_transfer: 20,
      },
      permissions: { '/': ['*'], '/in/*': ['upload', 'list'] },
      groups: [{ name: 'staff', type: 1 }],
      virtual_folders: [{ name: 'shared', virtual_path: '/shared', quota_size: -1, quota_files: -1 }],
      filters: {
        ...{ allowed_ip: ['192.0.2.0/24'], denied_login_methods: ['password'], password_expiration: 90 },
        ...{ access_time: [{ day_of_week: 1, from: '08:00', to: '18:00' }], two_factor_protocols: ['SSH'] },
        totp_config: {
          enabled: true,
          config_name: 'Default',
          protocols: ['SSH'],
          secret: { status: 'Secretbox' },
        },
      },
      filesystem: { provider: 4, cryptconfig: { passphrase: { status: 'Secretbox', mode: 1 } } },
    })
  })

  it('keeps out users whose files lie elsewhere, with the reason', () => {
    expect(user('cloudy')?.problems).toEqual([
      'users[1] ("cloudy"): filesystem.provider: the files lie in S3, which is not supported',
    ])
  })

  it.each([
    null,
    7,
    'x',
    [],
    { username: 7 },
    { username: 'a', filters: 'x' },
    { username: 'a', permissions: [] },
  ])('is not trusted: %j is a user with problems, and nothing throws', (json) => {
    expect(parseUser(json).problems.length).toBeGreaterThan(0)
  })

  it('does not fall for names of JavaScript own', () => {
    const json = JSON.parse(
      '{"username":"a","status":1,"home_dir":"/x","permissions":{"/":["*"],"/__proto__":["list"]},"__proto__":{"x":1}}',
    ) as unknown
    const { value } = parseUser(json)
    expect(Object.keys(value.permissions)).toEqual(['/', '/__proto__'])
    expect('x' in value).toBe(false)
  })
})
