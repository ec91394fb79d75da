import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { Client, type SFTPWrapper } from 'ssh2'
import { describe, expect, it } from 'vitest'
import { type ServerProcess, runCommand, startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

describe('a reload', () => {
  it('listens anew where settings of the listener changed, and lets everybody stay who is connected', async () => {
    await using it = await started()
    await using person = await loggedIn(it.server)
    expect(it.reload({ common: { idle_timeout: 3, server_version: 'short' } })).toEqual({
      status: 0,
      said: 'Took over: common.idle_timeout, common.server_version\n',
    })
    expect(await person.list('/')).toEqual([])
    await using other = await loggedIn(it.server)
    expect(await other.list('/')).toEqual([])
    expect(await person.list('/')).toEqual([])
    expect(it.server.screen).toContain('demo')
    expect(await it.server.stop()).toBe(0)
  })

  it('counts those who stayed, in the limit of all, of an address, and of strangers', async () => {
    await using it = await started()
    await using person = await loggedIn(it.server)
    expect(it.reload({ common: { max_total_connections: 2 } }).status).toBe(0)
    await using other = await loggedIn(it.server)
    expect(await greeting(it.server.port)).toBe('')

    expect(it.reload({ common: { max_per_host_connections: 3 } }).status).toBe(0)
    await using silent = await stranger(it.server.port)
    expect(it.reload({ common: { max_per_host_connections: 3, idle_timeout: 3 } }).status).toBe(0)
    // Who has not logged in has to go for a newcomer, whichever listener took them in.
    await using third = await loggedIn(it.server)
    await silent.gone
    expect(await greeting(it.server.port)).toBe('')
    for (const each of [person, other, third]) expect(await each.list('/')).toEqual([])
  })

  it('counts the sessions of those who stayed', async () => {
    await using it = await started()
    expect(runCommand(['user', 'set', 'demo', 'max_sessions=1', '--config', it.config]).stderr).toBe('')
    await using person = await loggedIn(it.server)
    expect(it.reload({ common: { idle_timeout: 3 } }).status).toBe(0)
    await expect(loggedIn(it.server)).rejects.toThrow()
    expect(await person.list('/')).toEqual([])
  })

  it('takes over who may connect, how often, and how the log looks', async () => {
    await using it = await started()
    expect(await greeting(it.server.port)).toContain('SSH-2.0-')
    expect(it.reload({ common: { deny_list: ['127.0.0.0/8'] }, log: { format: 'text' } }).status).toBe(0)
    expect(await greeting(it.server.port)).toBe('')
    expect(it.server.log()).toMatch(/^\d\d:\d\d:\d\d info +connection refused .*by=deny-list/m)
    expect(it.reload({ common: { allowlist_status: 1, allow_list: ['127.0.0.1'] } }).status).toBe(0)
    expect(await greeting(it.server.port)).toContain('SSH-2.0-')
    const slow = { average: 1, period: 60_000, burst: 1, type: 2, protocols: ['SSH'] }
    expect(it.reload({ common: { rate_limiters: [slow] } }).status).toBe(0)
    expect(await greeting(it.server.port)).toContain('SSH-2.0-')
    expect(await greeting(it.server.port)).toBe('')
  })

  it('opens, moves and closes the telemetry, and keeps the old one when the new cannot be', async () => {
    await using it = await started()
    const [first, second] = [await freePort(), await freePort()]
    expect(it.reload({ telemetry: { bind_port: first } }).said).toBe('Took over: telemetry.bind_port\n')
    await using person = await loggedIn(it.server)
    await person.list('/')
    expect(await metric(first, 'sftpgo_operations_total{operation="opendir",status="ok"}')).toBe('1')

    expect(it.reload({ telemetry: { bind_port: second } }).status).toBe(0)
    await expect(fetch(`http://127.0.0.1:${first}/healthz`)).rejects.toThrow()
    const taken = await occupied()
    const refused = it.reload({ telemetry: { bind_port: taken.port }, common: { deny_list: ['127.0.0.1'] } })
    expect(refused.status).toBe(3)
    expect(refused.said).toContain(`Cannot listen on 127.0.0.1:${taken.port} for telemetry`)
    await taken.close()
    expect((await fetch(`http://127.0.0.1:${second}/readyz`)).status).toBe(200)
    expect(await greeting(it.server.port)).toContain('SSH-2.0-')
    expect(it.reload({}).status).toBe(0)
    await expect(fetch(`http://127.0.0.1:${second}/healthz`)).rejects.toThrow()
  })

  it('shows a slot that is down in /readyz, and is ready without it when nothing in it is required', async () => {
    const port = await freePort()
    const telemetry = { bind_port: port }
    await using it = await started({ telemetry })
    const readiness = async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`)
      const { ready, parts } = (await answer.json()) as Readiness // as documented
      return { status: answer.status, ready, slot: parts['slot notifier'] }
    }
    const empty = { ready: true, required: false, detail: 'empty' }
    expect(await readiness()).toEqual({ status: 200, ready: true, slot: empty })
    // A program that ends at once.
    const sha256sum = createHash('sha256').update(readFileSync('/bin/false')).digest('hex')
    const entry = (name: string, required: boolean) => ({
      ...{ name, type: 'notifier', cmd: '/bin/false', sha256sum, auto_mtls: true, required },
      notifier_options: { fs_events: ['upload'] },
    })
    it.reload({ telemetry, plugins: [entry('spare', false)] })
    expect(await readiness()).toEqual({
      ...{ status: 200, ready: true },
      slot: { ready: false, required: false, detail: expect.stringContaining('spare ') },
    })
    expect(runCommand(['status', '--config', it.config]).stdout).toMatch(
      /slot notifier +NOT READY \(and not required\): spare/,
    )
    it.reload({ telemetry, plugins: [entry('spare', false), entry('needed', true)] })
    expect(await readiness()).toEqual({
      ...{ status: 503, ready: false },
      slot: { ready: false, required: true, detail: expect.stringMatching(/spare .*, needed /) },
    })
    expect(runCommand(['status', '--config', it.config]).status).toBe(1)
  })

  it('says what waits for a restart, until it is put back', async () => {
    await using it = await started()
    const { said } = it.reload({ state_dir: 'elsewhere', log: { level: 'debug' } }, 'SIGHUP')
    expect(said).toBe('')
    await expect.poll(() => it.server.log(), { timeout: 10_000 }).toContain('"needRestart":["state_dir"]')
    expect(it.status()).toMatchObject({ needRestart: ['state_dir'], logLevel: 'debug' })
    expect(it.reload({ events: { durable: true }, log: { level: 'debug' } }, 'SIGHUP').said).toBe('')
    await expect.poll(() => it.status().needRestart, { timeout: 10_000 }).toEqual(['events.durable'])
  })

  it('finds the server, and says the mistake, also when the file cannot even be read as JSON', async () => {
    await using it = await started({ state_dir: 'elsewhere' })
    writeFileSync(it.config, '{ "state_dir": "elsewhere", "plugins": [ }')
    const { status, stderr } = runCommand(['reload', '--config', it.config])
    expect(status).toBe(3)
    expect(stderr).toMatch(/The old configuration stays in force:\n\S+one\.json:1:\d+: /)
    expect(it.status()).toMatchObject({
      lastReload: { ok: false, message: expect.stringContaining('one.json') },
    })
    await expect.poll(() => it.server.log()).toContain('configuration not taken over')
    expect(await greeting(it.server.port)).toContain('SSH-2.0-')
  })
})

interface Readiness {
  readonly ready: boolean
  readonly parts: Readonly<Record<string, unknown>>
}

type Settings = Readonly<Record<string, unknown>>

/** A server with its configuration file, which can be written anew. */
async function started(first: Settings = {}) {
  const folder = temporaryDirectory()
  const config = folder.file('one.json')
  const write = (settings: Settings): void => {
    const sftpd = { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] }
    writeFileSync(config, JSON.stringify({ sftpd, ...settings }))
  }
  write(first)
  const server = await startServerProcess(config)
  const stateFolder = 'state_dir' in first ? {} : { SFTPGO_STATE_DIR: folder.file('one.state') }
  return {
    server,
    config,
    /** Writes these settings and has them read. */
    reload(settings: Settings, signal?: 'SIGHUP'): { readonly status: number | null; readonly said: string } {
      write(settings)
      if (signal !== undefined) return { status: server.process.kill(signal) ? 0 : 1, said: '' }
      const { status, stdout, stderr } = runCommand(['reload', '--config', config])
      return { status, said: stdout + stderr }
    },
    status(): { readonly needRestart: readonly string[] } {
      const { stdout } = runCommand(['status', '--config', config, '--json'], { env: stateFolder })
      return JSON.parse(stdout) as { needRestart: readonly string[] } // the command's own JSON
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

async function loggedIn({ port, password = '' }: ServerProcess) {
  const client = new Client()
  await new Promise<void>((settle, reject) => {
    client.once('ready', settle).once('error', reject)
    // What happens afterwards shows in what is asked.
    client.on('error', () => {})
    client.once('close', () => reject(new Error('The connection was closed')))
    client.connect({ host: '127.0.0.1', port, username: 'demo', password })
  })
  const sftp = await new Promise<SFTPWrapper>((settle, reject) =>
    client.sftp((error, made) => (error === undefined ? settle(made) : reject(error))),
  )
  return {
    list: (path: string) =>
      new Promise<string[]>((settle, reject) =>
        sftp.readdir(path, (error, list) =>
          error === undefined ? settle(list.map(({ filename }) => filename)) : reject(error),
        ),
      ),
    async [Symbol.asyncDispose]() {
      client.end()
    },
  }
}

/** The first line of the server, or nothing when it hangs up before. */
function greeting(port: number): Promise<string> {
  return new Promise((settle) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
      socket.destroy()
    })
    socket.on('error', () => {})
    socket.once('close', () => settle(text))
  })
}

/** Somebody who reads the first line and says nothing. */
async function stranger(port: number) {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const gone = once(socket, 'close')
  await once(socket, 'data')
  return {
    gone,
    async [Symbol.asyncDispose]() {
      socket.destroy()
    },
  }
}

async function metric(port: number, name: string): Promise<string | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return text
    .split('\n')
    .find((line) => line.startsWith(`${name} `))
    ?.slice(name.length + 1)
}

async function occupied() {
  const server = createServer()
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () => new Promise((settle) => server.close(settle)),
  }
}

async function freePort(): Promise<number> {
  const { port, close } = await occupied()
  await close()
  return port
}
