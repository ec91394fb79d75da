import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { User } from '../../src/accounts/user.ts'
import type { Person } from '../fixtures/plugins/directory.ts'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { runCommand, startServerProcess, type ServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

interface Asked {
  readonly username: string
  readonly user: Partial<User>
}

describe.skipIf(withoutOpenSsh !== undefined)(
  `a directory behind a plugin, asked for OpenSSH's client (needs ${withoutOpenSsh ?? 'sftp, sshpass'})`,
  () => {
    const folder = temporaryDirectory()
    const config = folder.file('sftpgo.config.json')
    let server: ServerProcess
    beforeAll(async () => {
      const { cmd, sha256sum } = await fixturePlugin('directory')
      writeFileSync(folder.file('asked'), '')
      const args = [folder.file('people.json'), folder.file('asked')]
      const plugin = { name: 'ldap', type: 'auth', cmd, sha256sum, args, auth_options: { scope: 1 } }
      const sftpd = { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] }
      const common = { defender: { login_delay: { password_failed: 250 } } }
      writeFileSync(config, JSON.stringify({ sftpd, common, plugins: [{ ...plugin, persist: true }] }))
      const staff = { name: 'staff', user_settings: { quota_files: 9 } }
      writeFileSync(folder.file('dump.json'), JSON.stringify({ users: [], groups: [staff], version: 17 }))
      command('user', 'import', folder.file('dump.json'))
      server = await startServerProcess(config)
    })
    afterAll(async () => {
      await server[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    })

    const command = (...args: readonly string[]): string => {
      const { status, stdout, stderr } = runCommand([...args, '--config', config])
      expect(status, stderr).toBe(0)
      return stdout
    }
    const show = (username: string): User => JSON.parse(command('user', 'show', username, '--json')) as User // as the command prints it
    const know = (people: Readonly<Record<string, Person>>): void =>
      writeFileSync(folder.file('people.json'), JSON.stringify(people))
    const asked = (username: string): Asked[] =>
      readFileSync(folder.file('asked'), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Asked) // as the plugin wrote it
        .filter((one) => one.username === username)
    const enter = async (username: string, password: string): Promise<boolean> =>
      (await sftpBatch({ port: server.port, username, password, batch: ['pwd'] })).status === 0
    const person = (username: string, fields: object = {}): Person => ({
      password: 'engine',
      record: { status: 1, home_dir: folder.file(username), permissions: { '/': ['*'] }, ...fields },
    })

    it('lets ten first logins of one new user in at once, and keeps one user', async () => {
      know({ ada: person('ada') })
      expect(await Promise.all(Array.from({ length: 10 }, () => enter('ada', 'engine')))).toEqual(
        Array.from({ length: 10 }, () => true),
      )
      expect(asked('ada')[0]?.user).toMatchObject({ id: 0, username: 'ada' })
      const users = JSON.parse(command('user', 'list', '--json')) as readonly User[]
      expect(users.filter(({ username }) => username === 'ada')).toHaveLength(1)
    })

    it('takes a group away that the directory took away', async () => {
      know({ bob: person('bob', { groups: [{ name: 'staff', type: 1 }] }) })
      expect(await enter('bob', 'engine')).toBe(true)
      expect(show('bob').groups).toEqual([{ name: 'staff', type: 1 }])
      know({ bob: person('bob') })
      expect(await enter('bob', 'engine')).toBe(true)
      expect(show('bob').groups ?? []).toEqual([])
      know({ bob: person('bob', { groups: [{ name: 'gone', type: 2 }] }) })
      expect(await enter('bob', 'engine')).toBe(false)
      await until('the log names the group', () => server.log().includes('gone'))
    })

    it('keeps what is stored where the placeholder comes back', async () => {
      command('user', 'totp', 'add', 'ada')
      runCommand(['user', 'passwd', 'ada', '--config', config], { input: 'stored\n' })
      know({ ada: { ...person('ada', { email: 'ada@example.org' }), roundTrip: true } })
      // The second factor keeps the method "password" out, and this is about what the store holds afterwards.
      command('user', 'set', 'ada', 'filters.totp_config.enabled=false')
      expect(await enter('ada', 'engine')).toBe(true)
      const sent = asked('ada').at(-1)?.user
      expect(JSON.stringify(sent)).not.toMatch(/argon2|payload/)
      expect(sent?.password).toBe('[**redacted**]')
      const kept = show('ada')
      expect(kept.email).toBe('ada@example.org')
      expect(kept.password).toBe('[**redacted**]')
      expect(kept.filters.totp_config).toBeDefined()
    })

    it('accepts a stored user with an empty answer', async () => {
      know({ ada: { password: 'engine', record: null } })
      expect(await enter('ada', 'engine')).toBe(true)
      expect(show('ada').email).toBe('ada@example.org')
      know({ stranger: { password: 'engine', record: null } })
      expect(await enter('stranger', 'engine')).toBe(false)
    })

    it('is asked once while the cache time lasts, and an old password never comes in after it was refused', async () => {
      const cached = { filters: { external_auth_cache_time: 600 } }
      know({ eve: person('eve', cached) })
      expect([await enter('eve', 'engine'), await enter('eve', 'engine')]).toEqual([true, true])
      expect(asked('eve')).toHaveLength(1)
      know({ eve: { ...person('eve', cached), password: 'analytical' } })
      expect(await enter('eve', 'analytical')).toBe(true)
      expect(asked('eve')).toHaveLength(2)
      expect(await enter('eve', 'engine')).toBe(false)
      expect(asked('eve')).toHaveLength(3)
    })
  },
)
