import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connectControl } from '../../src/control/control-client.ts'
import { startFakeVault } from '../helpers/fake-vault.ts'
import { sftpBatch, withoutOpenSsh, type SftpResult } from '../helpers/openssh.ts'
import { startServer, type TestServer } from '../helpers/start-server.ts'
import { vaultEntry } from '../helpers/vault-plugin.ts'

const skipped = withoutOpenSsh === undefined ? '' : ` (skipped: ${withoutOpenSsh} is not installed)`
const needed = {
  sshfs: existsSync('/usr/bin/sshfs'),
  '/dev/fuse': existsSync('/dev/fuse'),
  python3: spawnSync('python3', ['-V']).error === undefined,
}
const lacking = Object.entries(needed).find(([, here]) => !here)?.[0]
const withoutSshfs = lacking === undefined ? '' : ` (skipped: ${lacking} is not there)`
const password = 'Correct-Horse-9'

/** Asks a running server what a command would. */
async function ask(server: TestServer, operation: string, input: object): Promise<unknown> {
  const control = await connectControl(join(server.folder, 'test.config.state/control.sock'))
  try {
    return await control?.ask(operation, { actor: 'test', ...input })
  } finally {
    control?.close()
  }
}

function homeOf({ folder }: TestServer, username: string): string {
  return join(folder, 'test.config.state/homes', username)
}

/** Makes a user whose files are encrypted with `secret`; the default is a passphrase in clear, to be sealed. */
async function addUser(
  server: TestServer,
  username: string,
  secret: object = { status: 'Plain', payload: `open sesame for ${username}` },
): Promise<void> {
  const filesystem = { provider: 4, cryptconfig: { passphrase: secret } }
  const record = { home_dir: homeOf(server, username), filesystem }
  await ask(server, 'user add', { username, password, record })
}

function sftp(server: TestServer, username: string, ...batch: string[]): Promise<SftpResult> {
  return sftpBatch({ port: server.port, username, password, batch, cwd: server.folder })
}

/** The fields of the log lines with this message. */
function logged(server: TestServer, message: string): Record<string, unknown>[] {
  return server.logLines
    .map((line) => JSON.parse(line) as Record<string, unknown>) // the logger writes objects
    .filter(({ msg }) => msg === message)
}

// Each logs in a dozen times, with a client that is started each time: a busy machine takes seconds for one.
describe.skipIf(withoutOpenSsh !== undefined)(
  `an encrypted home over OpenSSH's sftp${skipped}`,
  { timeout: 90_000 },
  () => {
    it('takes uploads, resumes, appends and truncations, and shows plain sizes', async () => {
      await using server = await startServer()
      await addUser(server, 'eve')
      const whole = randomBytes(400_000)
      const local = (name: string): string => join(server.folder, name)
      writeFileSync(local('whole'), whole)
      writeFileSync(local('begun'), whole.subarray(0, 150_001))
      writeFileSync(local('short'), 'short')
      const first = await sftp(
        server,
        'eve',
        'put begun file',
        'reput whole file',
        'ls -l file',
        'get file back',
      )
      expect(first.status, first.output).toBe(0)
      expect(first.output).toMatch(/ 400000 /)
      expect(readFileSync(local('back')).equals(whole)).toBe(true)
      expect(readFileSync(join(homeOf(server, 'eve'), 'file')).includes(whole.subarray(1000, 1064))).toBe(
        false,
      )

      writeFileSync(local('half'), whole.subarray(0, 99_999))
      writeFileSync(local('longer'), Buffer.concat([whole, whole]))
      const second = await sftp(
        server,
        'eve',
        ...['get -a file half', 'put -a longer file', 'get file twice', 'put short file', 'ls -l file'],
      )
      expect(second.status, second.output).toBe(0)
      expect(readFileSync(local('half')).equals(whole)).toBe(true)
      expect(readFileSync(local('twice')).equals(Buffer.concat([whole, whole]))).toBe(true)
      expect(second.output).toMatch(/ 5 .* file/)
      const third = await sftp(server, 'eve', 'get file end')
      expect(third.status, third.output).toBe(0)
      expect(readFileSync(local('end'), 'utf8')).toBe('short')
    })

    it.skipIf(withoutSshfs !== '')(
      `is cut, appended to and written at random through sshfs${withoutSshfs}`,
      async () => {
        await using server = await startServer()
        await addUser(server, 'eve')
        const mount = join(server.folder, 'mount')
        mkdirSync(mount)
        const options = ['-o', 'password_stdin,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null']
        // The server runs in this process: it must not wait for who asks it.
        const run = (program: string, args: readonly string[], input = ''): Promise<string> =>
          new Promise((resolve, reject) => {
            const child = execFile(program, args, (error, out) =>
              error === null ? resolve(out) : reject(error),
            )
            child.stdin?.end(input)
          })
        await run('sshfs', ['-p', String(server.port), 'eve@127.0.0.1:', mount, ...options], password)
        try {
          const script = `import os,hashlib
b=bytearray(os.urandom(200000)); p='${mount}/f'
open(p,'wb').write(b)
f=open(p,'r+b'); f.seek(70000); f.write(b'x'*5000); f.close(); b[70000:75000]=b'x'*5000
os.truncate(p,100001); b=b[:100001]
f=open(p,'ab'); f.write(b'tail'); f.close(); b+=b'tail'
assert os.stat(p).st_size==len(b),(os.stat(p).st_size,len(b))
assert open(p,'rb').read()==bytes(b)
print('same')`
          expect(await run('python3', ['-c', script])).toContain('same')
        } finally {
          await run('fusermount', ['-u', mount])
        }
      },
    )

    it('copies and renames files, and counts them against the quota with their plain sizes', async () => {
      await using server = await startServer()
      await addUser(server, 'eve')
      await ask(server, 'user set', { username: 'eve', changes: { quota_size: 800_000 } })
      const whole = randomBytes(400_000)
      writeFileSync(join(server.folder, 'up'), whole)
      const batch = ['put up one', 'cp one two', 'rename two three', 'get three back', 'ls -l']
      const { status, output } = await sftp(server, 'eve', ...batch)
      expect(status, output).toBe(0)
      expect(output.match(/ 400000 /g)).toHaveLength(2)
      expect(readFileSync(join(server.folder, 'back')).equals(whole)).toBe(true)
      // With what encryption adds it would have been over the quota before; now one byte is too many.
      writeFileSync(join(server.folder, 'little'), 'x')
      expect((await sftp(server, 'eve', 'put little')).status).toBe(1)
      // Other bytes, under another key.
      const sealed = ['one', 'three'].map((name) => readFileSync(join(homeOf(server, 'eve'), name)))
      expect(sealed[0]?.equals(sealed[1] ?? Buffer.alloc(0))).toBe(false)
    })

    it('tells each failure by its own code in the log, and safely to the client', async () => {
      await using vault = await startFakeVault()
      vault.addKey('k')
      await using server = await startServer({
        plugins: [await vaultEntry(vault)],
        kms: { cache_time: '0ms', secrets: { url: 'hashivault://k' } },
      })
      writeFileSync(join(server.folder, 'up'), randomBytes(200_000))
      for (const name of ['wrong', 'changed', 'cut', 'down', 'deleted', 'fine']) {
        await addUser(server, name)
        const put = await sftp(server, name, 'put up')
        expect(put.status, put.output).toBe(0)
      }
      const lost = { status: 'AWS', payload: 'c2VhbGVk', url: 'awskms://gone' }
      await addUser(server, 'missing', lost)

      const changes = { 'filesystem.cryptconfig.passphrase': { status: 'Plain', payload: 'another one' } }
      await ask(server, 'user set', { username: 'wrong', changes })
      const file = join(homeOf(server, 'changed'), 'up')
      const bytes = readFileSync(file)
      bytes[100_000] = (bytes[100_000] ?? 0) ^ 1
      writeFileSync(file, bytes)
      truncateSync(join(homeOf(server, 'cut'), 'up'), 100_000)

      const outputs = new Map<string, string>()
      const fails = async (name: string, ...batch: string[]): Promise<void> => {
        const { status, output } = await sftp(server, name, ...batch)
        expect(status, `${name}: ${output}`).toBe(1)
        outputs.set(name, output)
      }
      await fails('wrong', 'get up x')
      await fails('changed', 'get up x')
      await fails('cut', 'get up x')
      await fails('missing', 'put up')
      vault.sealed = true
      await fails('down', 'get up x')
      vault.sealed = false
      vault.deleteKey('k')
      await fails('deleted', 'get up x')

      expect(
        new Map(logged(server, 'encrypted file not read').map((one) => [one['owner'], one['code']])),
      ).toEqual(
        new Map([
          ['wrong', 'wrong-key'],
          ['changed', 'corrupted'],
          ['cut', 'cut-short'],
        ]),
      )
      expect(
        logged(server, 'secret not opened').map(({ sealed, keeper, code }) => [sealed, keeper, code]),
      ).toEqual([
        ['passphrase of "missing"', 'AWS', 'keeper-missing'],
        ['passphrase of "down"', 'vault-hashivault', 'keeper-unavailable'],
        ['passphrase of "deleted"', 'vault-hashivault', 'keeper-refused'],
      ])
      for (const [name, output] of outputs) {
        expect(output, name).toMatch(/failure|permission denied/i)
        expect(output, name).not.toMatch(/key|vault|secret|passphrase|chunk/i)
      }
      expect(server.logLines.join('')).not.toMatch(/open sesame|another one/)
      expect(server.logLines.join('')).not.toContain(vault.token)

      vault.addKey('k')
      await addUser(server, 'after')
      expect((await sftp(server, 'after', 'put up', 'get up y')).status).toBe(0)
    })

    it('starts without the plugin that sealed a secret, and holds up only who needs it', async () => {
      await using vault = await startFakeVault()
      vault.addKey('k')
      const kms = { secrets: { url: 'hashivault://k' } }
      let folder = ''
      {
        const server = await startServer({ plugins: [await vaultEntry(vault)], kms })
        folder = server.folder
        try {
          writeFileSync(join(folder, 'up'), 'something')
          await addUser(server, 'sealed')
          expect((await sftp(server, 'sealed', 'put up')).status).toBe(0)
        } finally {
          // Its folder stays for the next one.
          await server.server.close(0)
        }
      }
      await using server = await startServer({ kms }, {}, folder)
      const broken = await sftp(server, 'sealed', 'get up x')
      expect(broken.status).toBe(1)
      expect(broken.output).toMatch(/failure/i)
      expect(logged(server, 'secret not opened')[0]).toMatchObject({
        code: 'keeper-missing',
        keeper: 'VaultTransit',
      })
      const record = { home_dir: homeOf(server, 'plain') }
      await ask(server, 'user add', { username: 'plain', password, record })
      expect((await sftp(server, 'plain', 'put up', 'get up y')).status).toBe(0)
      await expect(addUser(server, 'new')).rejects.toMatchObject({ code: 'keeper-missing' })
      rmSync(folder, { recursive: true, force: true })
    })

    it('asks no keeper to open a file while its key is warm', async () => {
      await using vault = await startFakeVault()
      vault.addKey('k')
      await using server = await startServer({
        plugins: [await vaultEntry(vault)],
        kms: { secrets: { url: 'hashivault://k' } },
      })
      writeFileSync(join(server.folder, 'up'), 'something')
      await addUser(server, 'eve')
      expect((await sftp(server, 'eve', 'put up one', 'get one a')).status).toBe(0)
      const calls = vault.calls
      const batch = Array.from({ length: 10 }, (_, index) => `get one b${index}`)
      for (const session of [batch, batch]) expect((await sftp(server, 'eve', ...session)).status).toBe(0)
      expect(vault.calls).toBe(calls)
      expect(calls).toBeLessThanOrEqual(2)
    })
  },
)
