import { spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { runCommand, startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

const settings = {
  sftpd: { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] },
}
const python =
  spawnSync('python3', ['--version']).error === undefined ? '' : ' (skipped: python3 is not installed)'

describe('a server', () => {
  it('that is told to stop while a plugin still starts leaves at once, with 0 and nothing left behind', async () => {
    using folder = temporaryDirectory()
    const plugin = { name: 'slow', type: 'ipfilter', ...(await fixturePlugin()), args: ['silent'] }
    writeFileSync(folder.file('one.json'), JSON.stringify({ ...settings, plugins: [plugin] }))
    const child = spawn(
      process.execPath,
      [resolve('dist/main.js'), 'serve', '--config', folder.file('one.json'), '--log-level', 'debug'],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
    const ended = new Promise((settle) => child.once('exit', (code, signal) => settle(code ?? signal)))
    const record = folder.file('one.state/plugins/plugins.json')
    await until(
      'the plugin to run',
      () => existsSync(record) && /"pid":\s*\d/.test(readFileSync(record, 'utf8')),
    )
    const pid = Number(/"pid":\s*(\d+)/.exec(readFileSync(record, 'utf8'))?.[1])
    const told = performance.now()
    child.kill('SIGHUP')
    child.kill('SIGTERM')
    expect(await ended, log).toBe(0)
    expect(performance.now() - told).toBeLessThan(10_000)
    expect(existsSync(folder.file('one.state/server.lock'))).toBe(false)
    await until('the plugin to be gone', () => !existsSync(`/proc/${pid}/exe`))
  })

  it.skipIf(python !== '')(`goes on and stops while its terminal is held (Ctrl-S)${python}`, async () => {
    using folder = temporaryDirectory()
    writeFileSync(folder.file('one.json'), JSON.stringify(settings))
    // A terminal of which nobody reads: writing to it waits, as one that is held does.
    const hold = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
screen = b''
while b'Ctrl-C' not in screen:
    screen += os.read(terminal, 65536)
sys.stdout.write(screen.decode(errors='replace'))
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
    const program = [process.execPath, resolve('dist/main.js'), 'serve', '--config', folder.file('one.json')]
    const child = spawn('python3', ['-c', hold, ...program, '--log-level', 'trace'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let screen = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text
    })
    const ended = new Promise((settle) => child.once('exit', settle))
    await until('the first screen', () => screen.includes('Ctrl-C'), 30_000)
    const status = (): { readonly pid: number } =>
      JSON.parse(runCommand(['status', '--json', '--config', folder.file('one.json')]).stdout) as {
        pid: number
      } // its own JSON
    // Each command is some lines of the log at this level; a terminal takes 4 KiB.
    const port = Number(/sftp -P (\d+)/.exec(screen)?.[1])
    for (let visit = 0; visit < 100; visit += 1) await fetch(`http://127.0.0.1:${port}/`).catch(() => {})
    process.kill(status().pid, 'SIGTERM')
    expect(await ended).toBe(0)
  })

  it('makes the demo account once: who removes it does not find it back', async () => {
    using folder = temporaryDirectory()
    const config = folder.file('one.json')
    writeFileSync(config, JSON.stringify(settings))
    await using first = await startServerProcess(config)
    expect(first.password).toBeDefined()
    await first.stop()
    expect(runCommand(['user', 'remove', 'demo', '--config', config]).status).toBe(0)
    await using second = await startServerProcess(config)
    expect(second.password).toBeUndefined()
    expect(second.screen).toContain('sftp -P')
    expect(await second.stop()).toBe(0)
  })

  it('that cannot listen at its first start makes no account whose password nobody saw', async () => {
    using folder = temporaryDirectory()
    const config = folder.file('one.json')
    const other = createServer()
    await new Promise<void>((settle) => other.listen(0, '127.0.0.1', settle))
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const sftpd = { ...settings.sftpd, bindings: [{ port, address: '127.0.0.1' }] }
    writeFileSync(config, JSON.stringify({ sftpd }))
    const refused = runCommand(['serve', '--config', config])
    expect(refused.status).toBe(1)
    expect(refused.stderr).toContain(`Cannot listen on 127.0.0.1:${port}`)
    await new Promise((settle) => other.close(settle))
    await using server = await startServerProcess(config)
    expect(server.password).toBeDefined()
    expect(await server.stop()).toBe(0)
  })

  it('prints no password into a journal that keeps it, and makes no account then', async () => {
    using folder = temporaryDirectory()
    const config = folder.file('one.json')
    writeFileSync(config, JSON.stringify(settings))
    const journal = openSync(folder.file('journal'), 'w')
    const { dev, ino } = fstatSync(journal)
    const env = { ...process.env, JOURNAL_STREAM: `${dev}:${ino}` }
    const child = spawn(process.execPath, [resolve('dist/main.js'), 'serve', '--config', config], {
      ...{ env, stdio: ['ignore', journal, 'ignore'] },
    })
    const ended = new Promise((settle) => child.once('exit', settle))
    const kept = (): string => readFileSync(folder.file('journal'), 'utf8')
    await until('the first screen', () => kept().includes('Ctrl-C'), 20_000)
    expect(kept()).not.toContain('password')
    expect(runCommand(['user', 'list', '--config', config, '--json']).stdout).toBe('[]\n')
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    closeSync(journal)
  })

  it('with accounts in memory leaves none of them behind, however it ends', async () => {
    using folder = temporaryDirectory()
    using temporary = temporaryDirectory()
    const config = folder.file('one.json')
    writeFileSync(config, JSON.stringify({ ...settings, data_provider: { driver: 'memory' } }))
    const env = { TMPDIR: temporary.path }
    await using first = await startServerProcess(config, { env })
    await first.stop('SIGKILL')
    expect(readdirSync(temporary.path)).toEqual([])
    await using second = await startServerProcess(config, { env })
    expect(second.password).toBeDefined()
    expect(second.password).not.toBe(first.password)
    expect(await second.stop()).toBe(0)
    const left = readdirSync(folder.file('one.state')).filter((name) => name.startsWith('memory'))
    expect([...left, ...readdirSync(temporary.path)]).toEqual([])
  })

  it.skipIf(process.platform !== 'linux')('says that it cannot make its state folder', () => {
    using folder = temporaryDirectory()
    writeFileSync(folder.file('one.json'), JSON.stringify({ ...settings, state_dir: '/proc/nope/here' }))
    const refused = runCommand(['serve', '--config', folder.file('one.json')])
    expect(refused.status).toBe(3)
    expect(refused.stderr).toContain('Cannot make the state folder "/proc/nope/here"')
  })
})
