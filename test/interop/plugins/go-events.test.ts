import { createHash } from 'node:crypto'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startServerProcess } from '../../helpers/server-process.ts'
import { temporaryDirectory } from '../../helpers/temporary-directory.ts'
import { until } from '../../helpers/until.ts'
import { buildGoPrograms } from './toolchain.ts'

const built = buildGoPrograms()
const hasClient = spawnSync('sftp', ['-V']).error === undefined
const reason = 'missing' in built ? built.missing : hasClient ? undefined : 'there is no sftp'

interface Notice {
  readonly action?: string
  /** Of a log event, which SFTPGo gives no names in JSON. */
  readonly Event?: number
  readonly virtual_path?: string
  readonly virtual_target_path?: string
  readonly metadata?: Readonly<Record<string, string>>
}

const told = [
  ...['upload', 'download', 'first-upload', 'first-download', 'delete', 'rename', 'mkdir', 'rmdir', 'copy'],
  ...['pre-upload', 'pre-download', 'pre-delete'],
]

describe.skipIf(reason !== undefined)(
  `a notifier with SFTPGo's own messages${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    it('hears each of the twelve actions of OpenSSH as SFTPGo tells them', { timeout: 120_000 }, async () => {
      using folder = temporaryDirectory()
      const home = folder.file('home')
      mkdirSync(home)
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', folder.file('key')])
      writeFileSync(folder.file('notices'), '')
      writeFileSync(folder.file('hello'), 'hello')
      writeFileSync(folder.file('empty'), '')
      writeFileSync(folder.file('large'), Buffer.alloc(200_000))
      const cmd = join('folder' in built ? built.folder : '', 'notifier')
      const user = {
        ...{ username: 'ada', status: 1, home_dir: home, permissions: { '/': ['*'] }, role: '' },
        ...{ public_keys: [readFileSync(folder.file('key.pub'), 'utf8').trim()] },
        filters: { max_upload_file_size: 100_000 },
      }
      writeFileSync(folder.file('users.json'), JSON.stringify({ users: [user] }))
      const plugin = {
        ...{ name: 'go', type: 'notifier', cmd, env_vars: ['NOTICES'], auto_mtls: true },
        sha256sum: createHash('sha256').update(readFileSync(cmd)).digest('hex'),
        notifier_options: { fs_events: told, log_events: [1, 2, 3, 4, 5] },
      }
      writeFileSync(
        folder.file('config.json'),
        JSON.stringify({
          sftpd: { bindings: [{ port: 0, address: '127.0.0.1' }] },
          data_provider: { users_file: 'users.json' },
          plugins: [plugin],
        }),
      )
      await using server = await startServerProcess(folder.file('config.json'), {
        env: { NOTICES: folder.file('notices') },
      })
      const run = (batch: string): void => {
        writeFileSync(folder.file('batch'), Buffer.from(batch, 'latin1'))
        const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'IdentitiesOnly=yes']
        const args = [...options.flatMap((one) => ['-o', one]), '-i', folder.file('key')]
        const port = ['-P', String(server.port), '-b', folder.file('batch'), 'ada@127.0.0.1']
        execFileSync('sftp', ['-F', '/dev/null', ...args, ...port], { stdio: 'pipe' })
      }
      const local = (name: string): string => folder.file(name)
      run(
        [
          ...['mkdir /d', `put ${local('hello')} /d/a`, `put ${local('empty')} /d/z`],
          ...[`get /d/a ${local('got')}`, `put ${local('hello')} /d/a`, 'cp /d/a /d/c'],
          ...['rename /d/a /d/c', `-put ${local('large')} /d/large`, 'rm /d/z'],
          ...[`put ${local('hello')} /d/\xff`, 'rm /d/\xff', 'rm /d/c', 'rmdir /d', ''],
        ].join('\n'),
      )
      const notices = (): Notice[] =>
        readFileSync(folder.file('notices'), 'utf8')
          .split('\n')
          .filter((line) => line.endsWith('}'))
          .map((line) => JSON.parse(line) as Notice) // as the plugin writes them
      await until('the last is told', () => notices().some(({ action }) => action === 'rmdir'))
      const files = notices().filter(({ action }) => action !== undefined)
      for (const one of files)
        expect(one).toMatchObject({
          ...{ username: 'ada', protocol: 'SFTP', ip: '127.0.0.1', timestamp: expect.any(Number) },
          session_id: expect.stringMatching(/^SFTP_[0-9a-f]+_\d+$/),
          metadata: {
            event_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
            sequence: expect.stringMatching(/^\d+$/),
          },
        })
      const line = (one: Notice & Readonly<Record<string, unknown>>): string =>
        ['action', 'virtual_path', 'virtual_target_path', 'file_size', 'status', 'open_flags']
          .map((name) => textOf(one[name]))
          .join(' ')
      expect(files.map((one) => line(one as Notice & Readonly<Record<string, unknown>>))).toEqual([
        'mkdir /d - - 1 -',
        'pre-upload /d/a - - 1 -',
        'upload /d/a - 5 1 -',
        'first-upload /d/a - 5 1 -',
        'pre-upload /d/z - - 1 -',
        'upload /d/z - - 1 -',
        'pre-download /d/a - - 1 -',
        'download /d/a - 5 1 -',
        'first-download /d/a - 5 1 -',
        'pre-upload /d/a - 5 1 577',
        'upload /d/a - 5 1 -',
        'pre-download /d/a - - 1 -',
        'pre-upload /d/c - - 1 -',
        'copy /d/a /d/c 5 1 -',
        'rename /d/a /d/c - 1 -',
        'pre-upload /d/large - - 1 -',
        'upload /d/large - - 3 -',
        'pre-delete /d/z - - 1 -',
        'delete /d/z - - 1 -',
        String.raw`pre-upload /d/\xff - - 1 -`,
        String.raw`upload /d/\xff - 5 1 -`,
        String.raw`pre-delete /d/\xff - 5 1 -`,
        String.raw`delete /d/\xff - 5 1 -`,
        'pre-delete /d/c - 5 1 -',
        'delete /d/c - 5 1 -',
        'rmdir /d - - 1 -',
      ])
      const odd = files.find(({ virtual_path }) => virtual_path === String.raw`/d/\xff`)
      expect(odd?.metadata?.['virtual_path_b64']).toBe(Buffer.from('/d/\xff', 'latin1').toString('base64'))
      const copy = files.find(({ action }) => action === 'copy')
      expect(copy).toMatchObject({ path: join(home, 'd/a'), target_path: join(home, 'd/c') })
      await until('the logins are told', () => notices().some(({ Event }) => Event === 5))
      const login = notices().find(({ Event }) => Event === 5)
      expect(login).toMatchObject({ Username: 'ada', Protocol: 'SSH', IP: '127.0.0.1', Role: '' })
    })
  },
)

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '-'
}
