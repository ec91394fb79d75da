import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { AccountEvent } from '../../src/accounts/account-changes.ts'
import type { ImportReport } from '../../src/accounts/import-dump.ts'
import { openAccounts, type Accounts } from '../../src/accounts/open-accounts.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/log.ts'
import { silentMeter } from '../../src/base/meter.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import { codeAt, decodeBase32 } from '../../src/accounts/totp.ts'
import { emptyDatabase, scripted } from './login-rig.ts'

let database: Database
let accounts: Accounts
const told: AccountEvent[] = []
beforeAll(async () => {
  database = await openDatabase({ durable: false })
  accounts = openAccounts({
    ...{ database, clock: systemClock, log: silentLogger, meter: silentMeter },
    secrets: {
      seal: async (text) => ({
        status: 'Secretbox',
        payload: `sealed ${Buffer.from(text).toString('base64')}`,
      }),
      open: async ({ payload = '' }) => Buffer.from(payload.slice('sealed '.length), 'base64').toString(),
    },
    events: { recordLog() {}, recordProvider: async (event) => void told.push(event) },
    login: { passwordAuthentication: true, keyboardInteractive: true, failedPasswordDelayMs: 0 },
    passwords: { argon2: { memory: 256, iterations: 1, parallelism: 1 } },
    homeOf: (username) => `/srv/${username}`,
  })
})
afterAll(async () => {
  await accounts.close()
  await database.close()
})
beforeEach(async () => {
  await emptyDatabase(database)
  told.length = 0
})

const ask = (operation: string, input?: object): Promise<unknown> =>
  accounts.operations[operation]?.(input) ?? Promise.reject(new Error('no such operation'))

function cryptFilesystem(payload: string): object {
  return { provider: 4, cryptconfig: { passphrase: { status: 'Plain', payload } } }
}

describe('operations on accounts', () => {
  it('make, change and remove a user, and tell notifiers without secrets', async () => {
    await ask('user add', { username: 'ada', password: 'engine', actor: 'root' })
    await ask('user set', {
      username: 'ada',
      changes: { max_sessions: 3, 'filters.denied_ip': ['10.0.0.0/8'] },
    })
    await ask('user passwd', { username: 'ada', password: 'another' })
    expect(accounts.store.findUser('ada')).toMatchObject({
      ...{ max_sessions: 3, home_dir: '/srv/ada', permissions: { '/': ['*'] } },
      filters: { denied_ip: ['10.0.0.0/8'] },
    })
    await ask('user remove', { username: 'ada' })
    expect(told.map(({ action, objectName, username }) => `${action} ${objectName} by ${username}`)).toEqual([
      'add ada by root',
      'update ada by __system__',
      'update ada by __system__',
      'delete ada by __system__',
    ])
    expect(JSON.stringify(told)).not.toMatch(/argon2|engine|another/)
  })

  it('tell notifiers of folders, groups and address lists too, as SFTPGo names them', async () => {
    const dump = {
      folders: [{ name: 'shared', mapped_path: '/srv/shared', filesystem: cryptFilesystem('horse') }],
      groups: [{ name: 'staff', user_settings: { filesystem: cryptFilesystem('staple') } }],
      ip_lists: [{ ipornet: '192.0.2.0/24', type: 2, mode: 2, description: 'scanner' }],
    }
    await ask('user import', { dump, actor: 'root' })
    await ask('user import', { dump, actor: 'root' })
    await ask('address add', { list: 'safe', network: '10.0.0.0/8', note: 'office', actor: 'root' })
    await ask('address remove', { list: 'safe', network: '10.0.0.0/8', actor: 'root' })
    expect(told.map(({ action, objectType, objectName }) => `${action} ${objectType} ${objectName}`)).toEqual(
      [
        ...['add folder shared', 'add group staff', 'add ip_list_entry 192.0.2.0/24'],
        ...['update folder shared', 'update group staff', 'update ip_list_entry 192.0.2.0/24'],
        ...['add ip_list_entry 10.0.0.0/8', 'delete ip_list_entry 10.0.0.0/8'],
      ],
    )
    expect(told.every(({ username }) => username === 'root')).toBe(true)
    expect(JSON.stringify(told)).not.toMatch(/horse|staple|sealed/)
    expect(JSON.parse(told[2]?.objectData ?? '')).toMatchObject({ ...dump.ip_lists[0] })
    expect(JSON.parse(told[7]?.objectData ?? '')).toMatchObject({ description: 'office', type: 2, mode: 1 })
  })

  it.each([
    ['user add', { username: '../x', password: 'p' }, 'invalid'],
    ['user add', { username: 'ada', password: 7 }, 'invalid'],
    ['user add', { username: 'ada', record: { status: 'on' } }, 'invalid'],
    ['user add', 'nonsense', 'invalid'],
    ['user set', { username: 'nobody', changes: {} }, 'not-found'],
    ['user passwd', { username: 'nobody', password: 'x' }, 'not-found'],
    ['user key add', { username: 'nobody', key: 'ssh-ed25519 AAAA' }, 'invalid'],
    ['user disconnect', { username: 'ada' }, 'not-found'],
    ['address add', { list: 'deny', network: 'x' }, 'invalid'],
    ['address add', { list: 'grey', network: '10.0.0.0/8' }, 'invalid'],
    ['ban add', { address: '10.0.0.0/8' }, 'invalid'],
    ['why', { id: 'nothing2' }, 'not-found'],
  ])('refuse %s of %j, and change nothing', async (operation, input, code) => {
    await expect(ask(operation, input as object)).rejects.toMatchObject({ code })
    expect(accounts.store.isEmpty).toBe(true)
    expect(told).toEqual([])
  })

  it('change no password and no name by "set", and know no field that is not supported', async () => {
    await ask('user add', { username: 'ada', password: 'engine' })
    const before = accounts.store.findUser('ada')?.password
    const set = (changes: object): Promise<unknown> => ask('user set', { username: 'ada', changes })
    await expect(set({ password: 'x', email: 'a@b.c' })).rejects.toThrow('is changed by "user passwd"')
    await expect(set({ username: 'bob' })).rejects.toMatchObject({ code: 'invalid' })
    expect(accounts.store.findUser('ada')).toMatchObject({ username: 'ada', password: before })
    expect(accounts.store.findUser('ada')?.email).toBeUndefined()
    await expect(set({ 'filters.tls_username': 'CommonName' })).rejects.toMatchObject({ code: 'invalid' })
    await expect(set({ '__proto__.x': 1 })).rejects.toMatchObject({ code: 'invalid' })
    await expect(set({ 'filesystem.provider': 1 })).rejects.toThrow('S3')
  })

  it('give a second factor that the login then asks for, and take it away', async () => {
    await ask('user add', { username: 'ada', password: 'engine' })
    const { secret } = (await ask('user totp add', { username: 'ada' })) as { secret: string }
    await expect(ask('user totp add', { username: 'ada' })).rejects.toThrow('has a second factor already')
    await expect(ask('user totp add', { username: 'ada', kind: 'x' })).rejects.toThrow('already')
    const login = async (...answers: string[]): Promise<string> => {
      const conversation = accounts.authority.begin({ connectionId: '1', address: '::1', clientVersion: 'x' })
      const { verdict } = await conversation.keyboardInteractive('ada', scripted(answers))
      conversation.end()
      return verdict
    }
    const key = decodeBase32(secret) ?? Buffer.alloc(0)
    const code = codeAt(key, Math.floor(Date.now() / 30_000), 'sha1')
    expect(await login('engine', code)).toBe('granted')
    expect(await login('engine')).toBe('refused')
    await ask('user totp remove', { username: 'ada' })
    await expect(ask('user totp remove', { username: 'ada' })).rejects.toThrow('has no second factor')
    expect(await login('engine')).toBe('granted')
    expect(JSON.stringify(told)).not.toContain(secret)
  })

  it('seal what comes in clear', async () => {
    const filters = {
      totp_config: { enabled: true, protocols: ['SSH'], secret: { status: 'Plain', payload: 'JBSW' } },
    }
    const added = await ask('user add', { username: 'ada', password: 'engine', record: { filters } })
    const changed = await ask('user set', { username: 'ada', changes: { filters } })
    expect(JSON.stringify([added, changed])).not.toMatch(/sealed|JBSW|argon2|engine/)
    expect(accounts.store.findUser('ada')?.filters.totp_config?.secret).toEqual({
      ...{ status: 'Secretbox', payload: 'sealed SkJTVw==' },
    })
  })

  it('import a dump: users, groups, folders, address rules; again only what is new where asked', async () => {
    const dump = JSON.parse(
      readFileSync(new URL('../fixtures/sftpgo-dump.json', import.meta.url), 'utf8'),
    ) as unknown
    const report = (await ask('user import', { dump })) as { users: { result: string }[] }
    expect(report.users.map(({ result }) => result)).toEqual(['added', 'skipped', 'added'])
    expect(accounts.store.findUser('everything')).toMatchObject({
      used_quota_size: 77,
      last_login: 1_700_000_000_000,
    })
    expect(accounts.store.findGroup('staff')?.user_settings).toMatchObject({ expires_in: 365 })
    expect(accounts.store.findFolder('shared')?.mapped_path).toBe('/srv/shared')
    expect(accounts.usage.of({ kind: 'folder', name: 'shared' })).toMatchObject({
      ...{ used_quota_size: 5, used_quota_files: 1, last_quota_update: 1_700_000_000_000 },
    })
    expect(accounts.lists.isIn('deny', '203.0.113.5')).toBe(true)
    expect(report.users[0]).toMatchObject({ warnings: [] })
    const again = (await ask('user import', { dump, addOnly: true })) as { users: { result: string }[] }
    expect(again.users.map(({ result }) => result)).toEqual(['kept', 'skipped', 'kept'])
  })

  it('import no address rule that is about other protocols', async () => {
    const rule = { type: 2, mode: 1, description: '' }
    const ip_lists = [
      { ...rule, ipornet: '192.0.2.1', protocols: 2 },
      { ...rule, ipornet: '192.0.2.2', protocols: 3 },
      { ...rule, ipornet: '192.0.2.3', protocols: 0 },
    ]
    const report = await ask('user import', { dump: { users: [], ip_lists } })
    expect(report).toMatchObject({
      addressRules: 2,
      notCarriedOver: ['ip_lists: "192.0.2.1" is not about SSH'],
    })
    expect([1, 2, 3].map((n) => accounts.lists.isIn('safe', `192.0.2.${n}`))).toEqual([false, true, true])
  })

  it('import a user without keys that are not accepted, and say what keeps somebody from logging in', async () => {
    const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGw9pKZ3gX8sXeWZkqgGZMIRrDwPp3MZtGYgE2XqMJ4S'
    const user = { status: 1, home_dir: '/srv/x', permissions: { '/': ['*'] } }
    const dump = {
      users: [
        { ...user, username: 'keyed', public_keys: [`from="10.0.0.1" ${key}`, `${key} laptop`] },
        { ...user, username: 'grouped', groups: [{ name: 'gone', type: 1 }], password: '$y$j9T$x$y' },
      ],
    }
    const report = (await ask('user import', { dump })) as { users: unknown[] }
    expect(report.users).toEqual([
      {
        ...{ username: 'keyed', result: 'added', problems: [], warnings: [] },
        notCarriedOver: ['public_keys[0]: The line has options before the key, which are not supported'],
      },
      {
        ...{ username: 'grouped', result: 'added', problems: [], notCarriedOver: [] },
        warnings: [
          'The password cannot be used: yescrypt is not supported',
          expect.stringContaining('Group "gone" does not exist'),
        ],
      },
    ])
    expect(accounts.store.findUser('keyed')?.public_keys).toEqual([`${key} laptop`])
  })
})

describe('names that would become paths or hide in logs (S-37)', () => {
  it.each(['..', '.', '', 'a/b', 'a\\b', 'a\0b', '-rf', 'a\u202eb', 'a\u200bb', ' a', '%username%'])(
    'are taken by no door: %j',
    async (name) => {
      await expect(ask('user add', { username: name, password: 'engine' })).rejects.toThrow()
      const fields = { status: 1, home_dir: '/srv/ada', permissions: { '/': ['*'] } }
      const dump = {
        users: [
          { username: name, ...fields },
          { username: 'ada', ...fields, groups: [{ name, type: 1 }] },
        ],
        groups: [{ name, user_settings: {} }],
        folders: [{ name, mapped_path: '/srv/shared' }],
      }
      const report = (await ask('user import', { dump })) as ImportReport
      expect(report.users.map(({ result }) => result)).toEqual(['skipped', 'skipped'])
      expect(report).toMatchObject({ groups: [], folders: [] })
      expect(accounts.store.listUsers()).toEqual([])
    },
  )
})
