import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { Client, type SFTPWrapper } from 'ssh2'
import ssh2 from 'ssh2'
import { describe, expect, it } from 'vitest'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { runCommand, startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

const minimal = JSON.stringify({
  sftpd: { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] },
})

describe('a server', () => {
  it('ends with 1 when another holds its state folder, and says which process that is', async () => {
    using folder = temporaryDirectory()
    const config = configIn(folder.path)
    await using server = await startServerProcess(config)
    const second = runCommand(['serve', '--config', config])
    expect(second.status).toBe(1)
    expect(second.stderr).toContain(`is held by process ${server.process.pid}`)
  })

  it('starts again after kill -9, cleaning up what the dead one left', async () => {
    using folder = temporaryDirectory()
    const config = configIn(folder.path)
    await using first = await startServerProcess(config)
    await first.stop('SIGKILL')
    expect(existsSync(folder.file('one.state/server.lock'))).toBe(true)
    await using second = await startServerProcess(config)
    expect(runCommand(['status', '--config', config]).status).toBe(0)
    expect(await second.stop()).toBe(0)
    expect(existsSync(folder.file('one.state/server.lock'))).toBe(false)
    expect(existsSync(folder.file('one.state/control.sock'))).toBe(false)
  })

  it('is reached by commands in a state folder whose path is longer than a socket may have', async () => {
    using folder = temporaryDirectory()
    const deep = folder.file(['a'.repeat(60), 'b'.repeat(60), 'c'.repeat(60)].join('/'))
    mkdirSync(deep, { recursive: true })
    const config = configIn(deep)
    await using server = await startServerProcess(config)
    const { status, stdout } = runCommand(['status', '--config', config, '--json'])
    expect(status).toBe(0)
    // The command's own JSON.
    expect((JSON.parse(stdout) as { pid: number }).pid).toBe(server.process.pid)
  })

  it('counts a signal that arrives twice at once as one', async () => {
    using folder = temporaryDirectory()
    await using server = await startServerProcess(configIn(folder.path))
    server.process.kill('SIGINT')
    server.process.kill('SIGINT')
    expect(await server.ended).toBe(0)
  })

  it('waits for a transfer after the first signal, and leaves at once at a later second one', async () => {
    using folder = temporaryDirectory()
    const options = { args: ['--grace-time', '60'] }
    await using server = await startServerProcess(configIn(folder.path), options)
    await using upload = await heldUpload(server.port, server.password ?? '')
    server.process.kill('SIGTERM')
    await until('the first signal to be heard', () => server.log().includes('stopping'))
    // The transfer keeps the server here for longer than the half second in which two signals count as one.
    const heard = performance.now()
    while (performance.now() - heard < 800) await upload.write()
    expect(server.process.exitCode).toBe(null)
    const again = performance.now()
    server.process.kill('SIGTERM')
    expect(await server.ended).toBe(1)
    expect(performance.now() - again).toBeLessThan(5_000)
    expect(server.log()).toContain('second signal, leaving at once')
  })

  it('lets a transfer end that was under way when it was told to stop, and leaves with 0', async () => {
    using folder = temporaryDirectory()
    const options = { args: ['--grace-time', '60'] }
    await using server = await startServerProcess(configIn(folder.path), options)
    await using upload = await heldUpload(server.port, server.password ?? '')
    server.process.kill('SIGTERM')
    await until('the first signal to be heard', () => server.log().includes('stopping'))
    await upload.write()
    await upload.finish()
    expect(await server.ended).toBe(0)
    expect(statSync(folder.file('one.state/homes/demo/held')).size).toBe(2 * 1024)
  })

  it('takes a changed configuration over and keeps the old one when the new has a mistake', async () => {
    using folder = temporaryDirectory()
    const config = configIn(folder.path)
    await using server = await startServerProcess(config)
    writeFileSync(
      config,
      minimal.replace('{', '{ "log": { "level": "debug" }, "common": { "idle_timeout": 3 },'),
    )
    const taken = runCommand(['reload', '--config', config])
    expect(taken.stdout).toBe('Took over: log.level, common.idle_timeout\n')
    expect(taken.status).toBe(0)

    writeFileSync(config, '{ "log": { "level": "loud" } }')
    const refused = runCommand(['reload', '--config', config])
    expect(refused.status).toBe(3)
    expect(refused.stderr).toContain('log.level: must be "trace"')
    const { stdout } = runCommand(['status', '--config', config, '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ logLevel: 'debug', lastReload: { ok: false } })

    server.process.kill('SIGHUP')
    await until('the mistake in the log', () => server.log().split('configuration not taken over').length > 2)
    expect(await server.stop()).toBe(0)
  })

  it('says loudly that plugins run unverified, and then listens on loopback only', async () => {
    using folder = temporaryDirectory()
    const { cmd } = await fixturePlugin()
    const plugin = { name: 'draft', type: 'ipfilter', cmd, args: ['polite'], dev: true }
    const settings = { ...(JSON.parse(minimal) as object), plugins: [plugin] }
    const config = folder.file('one.json')
    writeFileSync(config, JSON.stringify(settings).replace('127.0.0.1', '0.0.0.0'))
    const refused = runCommand(['serve', '--config', config])
    expect(refused.status).toBe(5)
    await using server = await startServerProcess(config, { args: ['--dev-plugins'] })
    expect(server.screen).toMatch(/^!{60,}$[^]*unverified: draft$[^]*^!{60,}$/m)
    expect(server.screen).toMatch(/Listening +127\.0\.0\.1:/)
    expect(server.log()).toContain('plugins run unverified')
  })

  it('with --dev-plugins says so at every login, and ends by itself after a time', async () => {
    using folder = temporaryDirectory()
    const config = folder.file('one.json')
    writeFileSync(config, minimal)
    expect(runCommand(['serve', '--config', config, '--dev-plugins', '--dev-time', '13h']).status).toBe(2)
    await using server = await startServerProcess(config, { args: ['--dev-plugins', '--dev-time', '4s'] })
    const banner = await bannerOf(server.port)
    expect(banner).toContain('DEVELOPMENT ONLY')
    expect(await server.ended).toBe(0)
    expect(server.log()).toContain('the time of --dev-plugins is over')
  })

  it('goes on, and stops, while nobody reads its log', async () => {
    using folder = temporaryDirectory()
    const config = configIn(folder.path)
    const child = spawn(
      process.execPath,
      [resolve('dist/main.js'), 'serve', '--config', config, '--log-level', 'trace'],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    let screen = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text
    })
    const ended = new Promise((settle) => child.once('exit', settle))
    await until('the first screen', () => screen.includes('Ctrl-C'))
    // A pipe holds 64 KiB; each visitor makes lines of some hundred bytes that nobody reads.
    const port = Number(/sftp -P (\d+)/.exec(screen)?.[1])
    for (let visit = 0; visit < 400; visit += 1) await knock(port)
    const { status, stdout } = runCommand(['status', '--config', config, '--json'])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ logLevel: 'trace' })
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  })

  it('serves health, readiness and metrics where the configuration asks for them', async () => {
    using folder = temporaryDirectory()
    const config = configIn(folder.path)
    const port = await freePort()
    await using server = await startServerProcess(config, {
      env: { SFTPGO_TELEMETRY__BIND_PORT: String(port) },
    })
    await knock(server.port)
    const ask = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`)
    expect((await ask('/healthz')).status).toBe(200)
    const ready = await ask('/readyz')
    expect(ready.status).toBe(200)
    expect(await ready.json()).toMatchObject({
      ready: true,
      parts: { database: { ready: true }, 'slot auth': { ready: true } },
    })
    const text = await (await ask('/metrics')).text()
    expect(text).toMatch(/^sftpgo_connections \d/m)
    expect(text).toMatch(/^sftpgo_event_loop_delay_seconds\{quantile="0.99"\}/m)
    expect((await ask('/')).status).toBe(404)
  })
})

function configIn(folder: string): string {
  const file = `${folder}/one.json`
  writeFileSync(file, minimal)
  expect(readFileSync(file, 'utf8')).toBe(minimal)
  return file
}

/** An upload that stays open until it is told to go on. */
async function heldUpload(port: number, password: string) {
  const client = new Client()
  // The server may leave in the middle of it.
  client.on('error', () => {})
  const ready = once(client, 'ready')
  client.connect({ host: '127.0.0.1', port, username: 'demo', password })
  await ready
  const sftp = await new Promise<SFTPWrapper>((settle, reject) =>
    client.sftp((error, made) => (error === undefined ? settle(made) : reject(error))),
  )
  const handle = await new Promise<Buffer>((settle, reject) =>
    sftp.open('held', 'w', (error, made) => (error === undefined ? settle(made) : reject(error))),
  )
  let offset = 0
  const write = async (): Promise<void> => {
    const bytes = Buffer.alloc(1024)
    await new Promise<void>((settle, reject) =>
      sftp.write(handle, bytes, 0, bytes.length, offset, (error) => (error ? reject(error) : settle())),
    )
    offset += bytes.length
  }
  await write()
  return {
    write,
    async finish() {
      await new Promise<void>((settle, reject) =>
        sftp.close(handle, (error) => (error ? reject(error) : settle())),
      )
      client.end()
    },
    async [Symbol.asyncDispose]() {
      client.destroy()
    },
  }
}

function knock(port: number): Promise<void> {
  return new Promise((settle) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.once('data', () => socket.end('GET / HTTP/1.0\r\n\r\n'))
    socket.once('close', () => settle())
  })
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net')
  const server = createServer()
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle))
  const address = server.address()
  await new Promise((settle) => server.close(settle))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** What a server says to who is about to log in. */
function bannerOf(port: number): Promise<string> {
  const client = new ssh2.Client()
  return new Promise<string>((resolve, reject) => {
    client
      .on('banner', resolve)
      .on('error', reject)
      .connect({ host: '127.0.0.1', port, username: 'nobody', password: 'wrong' })
  }).finally(() => client.destroy())
}
