import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { openSftpSession, sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

const offline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT/
const quietly = ['--no-fund', '--no-audit', '--ignore-scripts', '--prefer-offline']

it.skipIf(withoutOpenSsh !== undefined)(
  `leads from an empty folder to a login that a new plugin answers by three commands and one edit, and on to a package, within five minutes${withoutOpenSsh === undefined ? '' : ` (skipped: no ${withoutOpenSsh})`}`,
  { timeout: 600_000 },
  async ({ skip }) => {
    using folder = temporaryDirectory()
    const product = installProduct(folder.path)
    if (product === undefined) return skip('the npm registry is not reachable')
    const home = folder.file('acme-auth')
    const run = (command: string, ...args: readonly string[]): SpawnSyncReturns<string> =>
      spawnSync(command, args, { cwd: home, encoding: 'utf8', timeout: 280_000 })

    const began = performance.now()
    // The first command.
    const made = spawnSync(process.execPath, [product, 'plugin', 'new', 'acme-auth', '--slot', 'auth'], {
      ...{ cwd: folder.path, encoding: 'utf8' },
    })
    expect(made.status, made.stderr).toBe(0)
    expect(filesBelow(home).length).toBeLessThanOrEqual(12)
    const file = join(home, 'src/plugin.ts')
    expect(linesOfLogic(readFileSync(file, 'utf8'))).toBeLessThanOrEqual(15)
    // The second.
    const installed = run('npm', 'install', ...quietly)
    expect(installed.status, installed.stderr).toBe(0)

    // The third; everything else is done by saving.
    const dev = spawn('npm', ['run', 'dev'], { cwd: home, detached: true })
    let screen = ''
    dev.stdout.on('data', (bytes: Buffer) => (screen += bytes.toString()))
    try {
      await until('the line that logs in', () => screen.includes('Ctrl-C'), 60_000)
      const port = Number(/sftp -P (\d+)/.exec(screen)?.[1])
      await using session = openSftpSession({ port, username: 'ada', password: 'engine' })
      await session.answer('mkdir before', 'sftp> mkdir before')
      writeFileSync(file, readFileSync(file, 'utf8').replace('Wrong name or password', 'Nobody I know'))
      const saved = performance.now()
      await until('the edit is taken', () => screen.includes('Taken after'))
      expect(performance.now() - saved).toBeLessThan(3_000)
      await sftpBatch({ port, username: 'eve', password: 'x', batch: ['pwd'] })
      await until('the edited plugin answered', () => screen.includes('refused: Nobody I know'))
      const login = await sftpBatch({ port, username: 'ada', password: 'engine', batch: ['pwd'] })
      expect(login.output).toContain('Remote working directory: /')
      await session.answer('ls', 'before')
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

    expect(spawnSync('sha256sum', ['-c', 'checksums.txt'], { cwd: join(home, 'dist') }).status).toBe(0)
    const config = folder.file('one.json')
    const sftpd = { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] }
    writeFileSync(config, JSON.stringify({ sftpd }))
    const about = (...args: readonly string[]): SpawnSyncReturns<string> =>
      run(process.execPath, product, 'plugin', ...args, '--config', config)
    expect(about('install', 'dist/acme-auth-0.1.0-any.tgz').status).toBe(0)
    await using server = await startServerProcess(config, { program: product })
    const settings = JSON.stringify({ users: { grace: 'compiler' }, home: folder.file('homes') })
    expect(about('enable', 'acme-auth', '--settings', settings).stdout).toContain('enabled and ready')
    const login = { port: server.port, username: 'grace', password: 'compiler', batch: ['pwd'] }
    expect((await sftpBatch(login)).output).toContain('Remote working directory: /')
    expect((await sftpBatch({ ...login, password: 'x' })).status).not.toBe(0)
  },
)

/** Packs this product and installs it as a stranger would; undefined where there is no registry. */
function installProduct(folder: string): string | undefined {
  const npm = (cwd: string, ...args: readonly string[]): SpawnSyncReturns<string> =>
    spawnSync('npm', args, { cwd, encoding: 'utf8', timeout: 280_000 })
  const packed = npm(process.cwd(), 'pack', '--ignore-scripts', '--pack-destination', folder)
  expect(packed.status, packed.stderr).toBe(0)
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? ''
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  const installed = npm(folder, 'install', ...quietly, `./${archive}`)
  if (offline.test(installed.stderr)) return undefined
  expect(installed.status, installed.stderr).toBe(0)
  return join(folder, 'node_modules/sftpgo-ts/dist/main.js')
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name, parentPath }) => join(dirname(parentPath), name))
}

/** Lines that do something: no blanks, comments, types, or lone brackets. */
function linesOfLogic(text: string): number {
  const inner = text.slice(text.indexOf('await servePlugin'))
  return inner.split('\n').filter((line) => /\w/.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line)).length
}
