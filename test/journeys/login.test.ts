import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LoginStory } from '../../src/accounts/story.ts'
import { sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { runCommand, type CommandResult } from '../helpers/server-process.ts'
import { startServer, type TestServer } from '../helpers/start-server.ts'

const built = existsSync(new URL('../../dist/main.js', import.meta.url))
const missing = withoutOpenSsh ?? (built ? undefined : 'the built program')

describe.skipIf(missing !== undefined)(
  `a login with OpenSSH's client (needs ${missing ?? 'sftp, sshpass'})`,
  () => {
    let running: TestServer
    let keys: string
    beforeAll(async () => {
      keys = mkdtempSync(join(tmpdir(), 'sftpgo-ts-login-'))
      for (const name of ['user', 'other', 'ca'])
        spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(keys, name)])
      writeFileSync(join(keys, 'revoked.json'), '[]')
      running = await startServer({
        sftpd: {
          bindings: [{ port: 0, address: '127.0.0.1' }],
          host_keys: ['keys/id_ed25519'],
          trusted_user_ca_keys: [join(keys, 'ca.pub')],
          revoked_user_certs_file: join(keys, 'revoked.json'),
        },
        common: { defender: { login_delay: { password_failed: 100 } } },
      })
    })
    afterAll(async () => {
      await running[Symbol.asyncDispose]()
      rmSync(keys, { recursive: true })
    })

    /** Runs a command of the product beside the server; not blocking, for the server lives in this process. */
    const command = (args: readonly string[], input = ''): Promise<CommandResult> =>
      new Promise((resolve) => {
        const program = new URL('../../dist/main.js', import.meta.url).pathname
        const child = spawn(process.execPath, [program, ...args, '--config', running.configFile])
        let [stdout, stderr] = ['', '']
        child.stdout.on('data', (text: Buffer) => (stdout += text.toString()))
        child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
        child.once('close', (status) => resolve({ status, stdout, stderr }))
        child.stdin.end(input)
      })
    const good = async (args: readonly string[], input?: string): Promise<string> => {
      const result = await command(args, input)
      expect(result, result.stderr).toMatchObject({ status: 0 })
      return result.stdout
    }
    /** One sftp with a key; the exit code tells whether it got in. */
    const withKey = (
      username: string,
      ...options: string[]
    ): Promise<{ status: number | null; output: string }> =>
      new Promise((resolve) => {
        const child = spawn('sftp', [
          ...[
            '-oBatchMode=yes',
            '-oStrictHostKeyChecking=no',
            '-oUserKnownHostsFile=/dev/null',
            '-oIdentitiesOnly=yes',
          ],
          ...[...options, '-b', '-', '-P', String(running.port), `${username}@127.0.0.1`],
        ])
        let output = ''
        child.stdout.on('data', (text: Buffer) => (output += text.toString()))
        child.stderr.on('data', (text: Buffer) => (output += text.toString()))
        child.once('close', (status) => resolve({ status, output }))
        child.stdin.end('pwd\n')
      })
    const identity = (name: string): string => `-oIdentityFile=${join(keys, name)}`
    const certify = (...options: string[]): void => {
      spawnSync('ssh-keygen', ['-q', '-s', 'ca', '-I', 'id', ...options, 'user.pub'], { cwd: keys })
    }

    it('lets in who was made by command, with the password from standard input (row 7)', async () => {
      await good(['user', 'add', 'ada'], 'engine\n')
      expect(
        await sftpBatch({ ...running, username: 'ada', password: 'engine', batch: ['pwd'] }),
      ).toMatchObject({ status: 0 })
      const users = JSON.parse(await good(['user', 'list', '--json'])) as { username: string }[]
      expect(users.map(({ username }) => username)).toContain('ada')
      expect(JSON.stringify(users)).not.toContain('argon2')
    })

    it('prints a reference to who is refused, and tells the operator why', async () => {
      await good(['user', 'add', 'late'], 'engine\n')
      await good(['user', 'set', 'late', 'expiration_date=1000'])
      const { status, output } = await sftpBatch({
        ...running,
        username: 'late',
        password: 'engine',
        batch: ['pwd'],
      })
      expect(status).not.toBe(0)
      const id = /\b[a-z2-9]{8}\b(?=[^a-z]*$|[.\s])/gm.exec(output.replace(/^Warning.*$/gm, ''))?.[0] ?? ''
      const references = [...output.matchAll(/\b([abcdefghjkmnpqrstvwxyz2-9]{8})\b/g)].map(([one]) => one)
      const stories = await Promise.all(
        [...new Set([id, ...references])]
          .filter((one) => one !== '')
          .map((one) => command(['why', one, '--json'])),
      )
      const found = stories.find((one) => one.status === 0)
      expect(found, output).toBeDefined()
      const story = JSON.parse(found?.stdout ?? '{}') as LoginStory
      expect(story).toMatchObject({ username: 'late', address: '127.0.0.1' })
      expect(JSON.stringify(story.steps)).toContain('The user has expired')
      expect((await command(['why', 'nothing2'])).status).toBe(4)
    })

    it('lets keys in as they are added and removed (row 8)', async () => {
      await good(['user', 'add', 'keyed', '--no-password'])
      const refusal = await withKey('keyed', identity('user'))
      expect(refusal.status).not.toBe(0)
      const reference = /Key refused \(reference ([a-z2-9]{8})\)/.exec(refusal.output)?.[1] ?? ''
      expect(await good(['why', reference])).toContain('The user does not have this key')
      const added = await good(['user', 'key', 'add', 'keyed', join(keys, 'user.pub')])
      expect(await withKey('keyed', identity('user'))).toMatchObject({ status: 0 })
      expect((await withKey('keyed', identity('other'))).status).not.toBe(0)
      await good(['user', 'key', 'remove', 'keyed', /SHA256:\S+/.exec(added)?.[0] ?? ''])
      expect((await withKey('keyed', identity('user'))).status).not.toBe(0)
    })

    it(
      'accepts certificates of a trusted authority, and refuses bad ones (rows 11 to 18)',
      { timeout: 60_000 },
      async () => {
        await good(['user', 'add', 'certified', '--no-password'])
        const certificate = `-oCertificateFile=${join(keys, 'user-cert.pub')}`
        const attempt = async (...options: string[]): Promise<number | null> => {
          certify(...options)
          return (await withKey('certified', identity('user'), certificate)).status
        }
        expect(await attempt('-n', 'certified')).toBe(0)
        expect(await attempt('-n', 'somebody')).not.toBe(0)
        expect(await attempt()).not.toBe(0)
        expect(await attempt('-n', 'certified', '-V', '20200101:20200102')).not.toBe(0)
        expect(await attempt('-n', 'certified', '-O', 'source-address=192.0.2.0/24')).not.toBe(0)
        expect(await attempt('-n', 'certified', '-O', 'source-address=127.0.0.0/8')).toBe(0)
        expect(await attempt('-n', 'certified', '-O', 'force-command=/bin/true')).not.toBe(0)
        expect(await attempt('-h', '-n', 'certified')).not.toBe(0)
        const fingerprint = spawnSync('ssh-keygen', ['-lf', join(keys, 'user.pub')], {
          encoding: 'utf8',
        }).stdout.split(' ')[1]
        writeFileSync(join(keys, 'revoked.json'), JSON.stringify([fingerprint]))
        await good(['reload'])
        expect(await attempt('-n', 'certified')).not.toBe(0)
        writeFileSync(join(keys, 'revoked.json'), '[]')
        await good(['reload'])
        expect(await attempt('-n', 'certified')).toBe(0)

        // Another file is read from the reload on that names it, without a restart.
        const settings = readFileSync(running.configFile, 'utf8')
        writeFileSync(join(keys, 'elsewhere.json'), JSON.stringify([fingerprint]))
        writeFileSync(running.configFile, settings.replace('revoked.json', 'elsewhere.json'))
        expect(await good(['reload'])).toBe('Took over: sftpd.revoked_user_certs_file\n')
        expect(await attempt('-n', 'certified')).not.toBe(0)
        writeFileSync(running.configFile, settings)
        await good(['reload'])
        expect(await attempt('-n', 'certified')).toBe(0)
      },
    )

    /** Answers the password as well. */
    const withKeyAndPassword = (username: string, ...options: string[]): Promise<number | null> => {
      const both = spawn(
        'sshpass',
        [
          ...['-e', 'sftp', '-oBatchMode=no', '-oStrictHostKeyChecking=no', '-oUserKnownHostsFile=/dev/null'],
          ...['-oIdentitiesOnly=yes', identity('user'), ...options],
          ...['-b', '-', '-P', String(running.port), `${username}@127.0.0.1`],
        ],
        { env: { ...process.env, SSHPASS: 'engine' } },
      )
      both.stdin.end('pwd\n')
      return ended(both)
    }
    const keyThenPassword = async (username: string): Promise<void> => {
      const denied = '["publickey","password","keyboard-interactive","publickey+keyboard-interactive"]'
      await good(['user', 'set', username, `filters.denied_login_methods=${denied}`])
    }

    it('wants the key and then the password where the account says so (row 19)', async () => {
      await good(['user', 'add', 'twice', '--key', join(keys, 'user.pub')], 'engine\n')
      await keyThenPassword('twice')
      expect((await withKey('twice', identity('user'))).status).not.toBe(0)
      expect(await withKeyAndPassword('twice')).toBe(0)
    })

    it('takes a certificate for the key of a login in two steps (row 22)', async () => {
      await good(['user', 'add', 'attested'], 'engine\n')
      await keyThenPassword('attested')
      const certificate = `-oCertificateFile=${join(keys, 'user-cert.pub')}`
      certify('-n', 'attested')
      expect((await withKey('attested', identity('user'), certificate)).status).not.toBe(0)
      expect(await withKeyAndPassword('attested', certificate)).toBe(0)
      certify('-n', 'somebody')
      expect(await withKeyAndPassword('attested', certificate)).not.toBe(0)
    })

    it(
      'ends within five seconds when the account is disabled, and lets nobody in again (S-51)',
      { timeout: 40_000 },
      async () => {
        await good(['user', 'add', 'gone', '--key', join(keys, 'user.pub'), '--no-password'])
        const session = spawn('sftp', [
          ...[
            '-oBatchMode=yes',
            '-oStrictHostKeyChecking=no',
            '-oUserKnownHostsFile=/dev/null',
            '-oIdentitiesOnly=yes',
          ],
          ...[identity('user'), '-P', String(running.port), 'gone@127.0.0.1'],
        ])
        session.stdin.on('error', () => {})
        session.stdin.write('pwd\n')
        await expect.poll(() => good(['user', 'sessions', 'gone']), { timeout: 8_000 }).toContain('gone')
        expect(running.server.status().connections).toBe(1)
        await good(['user', 'disable', 'gone'])
        await expect.poll(() => running.server.status().connections, { timeout: 5_000 }).toBe(0)
        session.kill()
        expect((await withKey('gone', identity('user'))).status).not.toBe(0)
        await good(['user', 'enable', 'gone'])
        expect(await withKey('gone', identity('user'))).toMatchObject({ status: 0 })
      },
    )

    it('never lets a ban by hand through, and forgives by command', async () => {
      await good(['ban', 'add', '127.0.0.1'])
      expect((await withKey('keyed', identity('user'))).status).not.toBe(0)
      expect(await good(['ban', 'list'])).toContain('127.0.0.1')
      await good(['ban', 'remove', '127.0.0.1'])
      expect(
        await sftpBatch({ ...running, username: 'ada', password: 'engine', batch: ['pwd'] }),
      ).toMatchObject({ status: 0 })
    })

    it('writes no password into the log', () => {
      expect(running.logLines.join('')).not.toContain('engine')
      expect(readFileSync(running.configFile, 'utf8')).not.toContain('engine')
    })
  },
)

describe.skipIf(!built)('accounts without a server (needs the built program)', () => {
  it('are made, shown, imported and removed in the database itself', { timeout: 60_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-offline-'))
    const config = join(folder, 'test.config.json')
    writeFileSync(config, '{}')
    const run = (args: readonly string[], input = ''): CommandResult =>
      runCommand([...args, '--config', config], { input })
    expect(run(['user', 'add', 'ada'], 'engine\n')).toMatchObject({ status: 0 })
    expect(run(['user', 'add', 'ada'], 'engine\n')).toMatchObject({ status: 1 })
    expect(run(['user', 'add', '../x'], 'engine\n')).toMatchObject({ status: 3 })
    expect(run(['user', 'passwd', 'ada'], '')).toMatchObject({ status: 2 })
    const changed = run(['user', 'passwd', 'ada', '--json'], 'difference\n')
    expect(JSON.parse(changed.stdout)).toEqual({ username: 'ada', changed: 'password' })
    expect(run(['user', 'show', 'nobody'])).toMatchObject({ status: 4 })
    expect(run(['user', 'set', 'ada', 'nonsense=1'])).toMatchObject({ status: 3 })
    const dump = new URL('../fixtures/sftpgo-dump.json', import.meta.url).pathname
    const imported = run(['user', 'import', dump, '--json'])
    const report = JSON.parse(imported.stdout) as { users: { username: string; result: string }[] }
    expect(report.users.map(({ username, result }) => `${username} ${result}`)).toEqual([
      'everything added',
      'cloudy skipped',
      'simple added',
    ])
    expect(run(['user', 'remove', 'ada'])).toMatchObject({ status: 0 })
    expect(run(['user', 'list']).stdout).not.toContain('ada')
    expect(run(['user', 'sessions'])).toMatchObject({ status: 1 })
    rmSync(folder, { recursive: true })
  })
})

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => void child.once('close', (status) => resolve(status)))
}
