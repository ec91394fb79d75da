import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

const program = resolve('dist/main.js')

it.skipIf(withoutOpenSsh !== undefined)(
  `leads from an empty folder to a packed plugin within five minutes${withoutOpenSsh === undefined ? '' : ` (skipped: no ${withoutOpenSsh})`}`,
  { timeout: 300_000 },
  async ({ skip }) => {
    using folder = temporaryDirectory()
    const began = performance.now()
    const run = (command: string, ...args: readonly string[]): SpawnSyncReturns<string> =>
      spawnSync(command, args, { cwd: folder.file('acme-auth'), encoding: 'utf8', timeout: 280_000 })
    const made = spawnSync(process.execPath, [program, 'plugin', 'new', 'acme-auth', '--slot', 'auth'], {
      ...{ cwd: folder.path, encoding: 'utf8' },
    })
    expect(made.status, made.stderr).toBe(0)
    const installed = run('npm', 'install', '--no-fund', '--no-audit', '--ignore-scripts')
    if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT/.test(installed.stderr))
      skip('the npm registry is not reachable')
    expect(installed.status, installed.stderr).toBe(0)

    const dev = spawn('npm', ['run', 'dev'], { cwd: folder.file('acme-auth'), detached: true })
    let screen = ''
    dev.stdout.on('data', (bytes: Buffer) => (screen += bytes.toString()))
    try {
      await until('the line that logs in', () => screen.includes('Ctrl-C'), 60_000)
      const port = Number(/sftp -P (\d+)/.exec(screen)?.[1])
      const file = join(folder.file('acme-auth'), 'src/plugin.ts')
      writeFileSync(file, readFileSync(file, 'utf8').replace('Wrong name or password', 'Nobody I know'))
      await until('the edit is taken', () => screen.includes('Taken after'))
      await sftpBatch({ port, username: 'eve', password: 'x', batch: ['pwd'] })
      await until('the edited plugin answered', () => screen.includes('refused: Nobody I know'))
      const login = await sftpBatch({ port, username: 'ada', password: 'engine', batch: ['pwd'] })
      expect(login.output).toContain('Remote working directory: /')
      // The scaffold's own test expects the words that were there before the edit.
      writeFileSync(file, readFileSync(file, 'utf8').replace('Nobody I know', 'Wrong name or password'))
    } finally {
      if (dev.pid !== undefined) process.kill(-dev.pid, 'SIGTERM')
    }
    for (const script of ['types', 'lint', 'test', 'pack']) {
      const done = run('npm', 'run', script)
      expect(done.status, `npm run ${script}: ${done.stdout}${done.stderr}`).toBe(0)
    }
    expect(performance.now() - began).toBeLessThan(300_000)
  },
)
