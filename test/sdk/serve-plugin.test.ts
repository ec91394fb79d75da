import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { delay } from '../../src/base/deadline.ts'
import { connectSlot, slots } from '../../src/slots/index.ts'
import type { PasswordAttempt } from '../../src/slots/auth/contract.ts'
import { createIdentity } from '../../src/wire/certificate.ts'
import { openChannel, type Channel, type PrintedBytes } from '../../src/wire/client.ts'
import { announcementVariables } from '../../src/wire/environment.ts'
import { buildPlugin, runToEnd, startPlugin, until } from '../helpers/plugin-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

let polite: Awaited<ReturnType<typeof buildPlugin>>
beforeAll(async () => {
  polite = await buildPlugin('polite')
})
afterAll(() => polite[Symbol.dispose]())

const attempt: PasswordAttempt = {
  username: 'ada',
  password: 'engine',
  address: '192.0.2.7',
  protocol: 'SSH',
  user: { id: 0, username: 'ada' },
}

function authOf(channel: Channel) {
  return connectSlot('auth', channel, { timeoutMs: 5_000 })
}

describe('a plugin that is started by hand', () => {
  // A process that no host started keeps its stdout, and the fixture prints while it loads.
  const printedWhileLoading = 'printed while loading\n'

  it.each([
    ['without a cookie', {}],
    ['with a wrong cookie', { [slots.auth.cookie.key]: 'wrong' }],
    ['with an empty cookie', { [slots.auth.cookie.key]: '' }],
  ])('%s says what it is on stderr and ends with 1', async (_how, environment) => {
    const { code, stdout, stderr } = await runToEnd([process.execPath, polite.file], environment)
    expect({ code, stdout }).toEqual({ code: 1, stdout: printedWhileLoading })
    expect(stderr.trimEnd().split('\n')).toHaveLength(3)
    expect(stderr).toContain('This program is a plugin')
  })

  it('with the variables of a host but no cookie keeps stdout empty', async () => {
    const environment = announcementVariables({ cookie: { key: 'SOME_PLUGIN', value: 'x' }, versions: [1] })
    const { code, stdout, stderr } = await runToEnd([process.execPath, polite.file], environment)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('This program is a plugin')
  })
})

describe('a slot without a cookie', () => {
  it('is a mistake that is told, and nothing is served', async () => {
    using built = await buildPlugin('no-cookie')
    const environment = announcementVariables({ cookie: { key: 'X', value: '' }, versions: [1] })
    const { code, stdout, stderr } = await runToEnd([process.execPath, built.file], environment)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('The slot "ipfilter" has no cookie')
  })
})

describe('the first line', () => {
  it('is a handshake with the certificate unpadded, and the only thing on stdout', async () => {
    await using plugin = await startPlugin(polite.file)
    const fields = plugin.line.trimEnd().split('|')
    expect(fields.slice(0, 3)).toEqual(['1', '1', 'unix'])
    expect(fields[4]).toBe('grpc')
    expect(fields).toHaveLength(6)
    expect(fields[5]).toMatch(/^[A-Za-z0-9+/]{400,}$/)
    await using channel = await disposable(plugin.connect())
    await authOf(channel.value).checkPassword({ ...attempt, username: 'print', password: 'more' })
    expect(plugin.stdout()).toBe('')
  })

  it('has an empty sixth field without mutual TLS', async () => {
    await using plugin = await startPlugin(polite.file, { mutualTls: false })
    expect(plugin.line).toMatch(/^1\|1\|unix\|[^|]+\|grpc\|\n$/)
    await using channel = await disposable(plugin.connect())
    await expect(authOf(channel.value).checkPassword(attempt)).resolves.toMatchObject({ granted: true })
  })

  it('has a seventh field only when it was asked for, and declines', async () => {
    await using plugin = await startPlugin(polite.file, { environment: { PLUGIN_MULTIPLEX_GRPC: 'true' } })
    expect(plugin.line.trimEnd().split('|')[6]).toBe('false')
  })

  it.each([
    ['2,1', '1'],
    ['', '1'],
    ['7,x,9', '1'],
  ])('answers the versions %j with %s', async (asked, version) => {
    await using plugin = await startPlugin(polite.file, { environment: { PLUGIN_PROTOCOL_VERSIONS: asked } })
    expect(plugin.line.split('|')[1]).toBe(version)
  })

  it('is not printed when the certificate of the host is none: no fallback to plaintext', async () => {
    const environment = announcementVariables({
      cookie: slots.auth.cookie,
      versions: [1],
      clientCertificatePem: 'not a certificate',
    })
    const { code, stdout, stderr } = await runToEnd([process.execPath, polite.file], environment)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('PLUGIN_CLIENT_CERT')
  })

  it.each([
    ['PLUGIN_MIN_PORT', { PLUGIN_MIN_PORT: 'x' }],
    ['PLUGIN_MIN_PORT', { PLUGIN_MIN_PORT: '200', PLUGIN_MAX_PORT: '100' }],
    ['socket path', { PLUGIN_UNIX_SOCKET_DIR: `/tmp/${'x'.repeat(120)}` }],
    ['SETTINGS', { SFTPGO_TS_PLUGIN_SETTINGS: '{' }],
  ])('is replaced by a reason on stderr: %s', async (said, changes) => {
    const environment = { ...announcementVariables({ cookie: slots.auth.cookie, versions: [1] }), ...changes }
    const { code, stdout, stderr } = await runToEnd([process.execPath, polite.file], environment)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(said)
  })
})

describe('the socket', () => {
  it('lies in the folder of the host, for this user only, whatever the umask', async () => {
    const shell = ['/bin/sh', '-c', `umask 0; exec "${process.execPath}" "${polite.file}"`]
    await using plugin = await startPlugin(polite.file, { command: shell })
    const names = readdirSync(plugin.folder)
    expect(names).toHaveLength(1)
    const socket = `${plugin.folder}/${names[0]}`
    expect(plugin.handshake.address).toEqual({ network: 'unix', path: socket })
    expect(statSync(socket).mode & 0o777).toBe(0o600)
  })

  it('is open to a group when the host says so', async () => {
    await using plugin = await startPlugin(polite.file, {
      environment: { PLUGIN_UNIX_SOCKET_GROUP: `${process.getgid?.()}` },
    })
    const { path } = plugin.handshake.address as { path: string }
    expect(statSync(path)).toMatchObject({ gid: process.getgid?.() })
    expect(statSync(path).mode & 0o777).toBe(0o660)
  })

  it('accepts connections when the line is printed, and two instances do not collide', async () => {
    await using one = await startPlugin(polite.file)
    await using two = await startPlugin(polite.file)
    expect(one.handshake.address).not.toEqual(two.handshake.address)
    expect(one.handshake.certificate?.equals(two.handshake.certificate ?? Buffer.alloc(0))).toBe(false)
    for (const plugin of [one, two]) await (await plugin.connect()).close()
  })

  it.each([
    ['the controller asks', 0],
    ['SIGTERM comes', 0],
  ])('is gone when %s, and the process ends with %i', async (how, code) => {
    await using plugin = await startPlugin(polite.file)
    const channel = await plugin.connect()
    const drained = drain(channel)
    void channel.attendBroker()
    const { path } = plugin.handshake.address as { path: string }
    await authOf(channel).checkPassword(attempt)
    const begin = performance.now()
    if (how === 'SIGTERM comes') plugin.child.kill('SIGTERM')
    else await expect(channel.shutdown()).resolves.toBe(true)
    expect(await plugin.exited()).toEqual({ code, signal: null })
    expect(performance.now() - begin).toBeLessThan(1_000)
    expect(existsSync(path)).toBe(false)
    await drained
  })
})

describe('who may connect', () => {
  it('is the holder of the right certificate alone', async () => {
    await using plugin = await startPlugin(polite.file)
    const { address, certificate = Buffer.alloc(0) } = plugin.handshake
    const stranger = await createIdentity()
    await expect(
      openChannel({ address, tls: { identity: stranger, pluginCertificate: certificate } }),
    ).rejects.toMatchObject({ code: 'untrusted-certificate' })
    await expect(openChannel({ address })).rejects.toMatchObject({ code: 'connection-refused' })
    await using channel = await disposable(plugin.connect())
    await expect(authOf(channel.value).checkPassword(attempt)).resolves.toMatchObject({ granted: true })
  })

  it.each(['TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const)('may speak %s, or not', async (version) => {
    await using plugin = await startPlugin(polite.file)
    const { path } = plugin.handshake.address as { path: string }
    const outcome = await new Promise<string>((resolve) => {
      const socket = connectTls({
        path,
        key: plugin.identity.privateKeyPem,
        cert: plugin.identity.certificatePem,
        ca: `-----BEGIN CERTIFICATE-----\n${plugin.handshake.certificate?.toString('base64')}\n-----END CERTIFICATE-----\n`,
        servername: 'localhost',
        ALPNProtocols: ['h2'],
        minVersion: version,
        maxVersion: version,
        ciphers: 'DEFAULT@SECLEVEL=0',
      })
      socket.once('secureConnect', () => resolve(`${socket.getProtocol()} ${String(socket.alpnProtocol)}`))
      socket.once('error', () => resolve('refused'))
    })
    expect(outcome).toBe(version === 'TLSv1.1' ? 'refused' : `${version} h2`)
  })

  it('listens on loopback only where the host or system wants TCP', async () => {
    const forced = await buildPlugin('over-tcp')
    using _built = forced
    const range = { PLUGIN_MIN_PORT: '0', PLUGIN_MAX_PORT: '0' }
    await using plugin = await startPlugin(forced.file, { environment: range })
    expect(plugin.handshake.address).toMatchObject({ network: 'tcp', host: '127.0.0.1' })
    await using channel = await disposable(plugin.connect())
    await expect(authOf(channel.value).checkPassword(attempt)).resolves.toMatchObject({ granted: true })
    const { port } = plugin.handshake.address as { port: number }
    const next = { PLUGIN_MIN_PORT: `${port}`, PLUGIN_MAX_PORT: `${port + 20}` }
    await using second = await startPlugin(forced.file, { environment: next })
    const taken = (second.handshake.address as { port: number }).port
    expect(taken).toBeGreaterThan(port)
    expect(taken).toBeLessThanOrEqual(port + 20)
  })
})

describe('what a plugin answers beside its slot', () => {
  it('is nothing of the other slots that its author fills', async () => {
    await using plugin = await startPlugin(polite.file)
    await using channel = await disposable(plugin.connect())
    const filter = connectSlot('ipfilter', channel.value, { timeoutMs: 5_000 })
    await expect(filter.check({ address: '192.0.2.7', protocol: 'SSH' })).rejects.toMatchObject({
      code: 'unimplemented',
    })
    await expect(authOf(channel.value).checkPassword(attempt)).resolves.toMatchObject({ granted: true })
  })

  it('is health for the name plugin', async () => {
    await using plugin = await startPlugin(polite.file)
    await using channel = await disposable(plugin.connect())
    await expect(channel.value.health()).resolves.toBe('serving')
    await expect(channel.value.health({ service: '' })).resolves.toBe('serving')
    await expect(channel.value.health({ service: 'other' })).rejects.toMatchObject({ code: 'failed' })
  })

  it('is what its code printed, byte for byte and in order, from before anybody listened', async () => {
    await using plugin = await startPlugin(polite.file)
    await using channel = await disposable(plugin.connect())
    const text = `${'line ünï\n'.repeat(20_000)}end`
    await authOf(channel.value).checkPassword({ ...attempt, username: 'print', password: text })
    const heard = collect(channel.value)
    await until(() => heard.stderr.length >= Buffer.byteLength(text) + 4, 'all output arrived')
    expect(heard.stdout.toString()).toBe(`printed while loading\n${text}`)
    expect(heard.stderr.toString()).toBe(`err:${text}`)
    expect(heard.pieces.every(({ bytes }) => bytes.length > 0 && bytes.length <= 32 * 1024)).toBe(true)
  })

  it('goes to one reader when there are two', async () => {
    await using plugin = await startPlugin(polite.file)
    await using channel = await disposable(plugin.connect())
    const [one, two] = [collect(channel.value), collect(channel.value)]
    for (let round = 0; round < 10; round++) {
      await authOf(channel.value).checkPassword({
        ...attempt,
        username: 'print',
        password: 'x'.repeat(1_000),
      })
    }
    const wanted = 10_000 + 'printed while loading\n'.length
    await until(() => one.stdout.length + two.stdout.length >= wanted, 'all output arrived')
    expect(one.stdout.length + two.stdout.length).toBe(wanted)
  })

  it('costs no time while nobody asks, with every stream open', async () => {
    await using plugin = await startPlugin(polite.file)
    await using channel = await disposable(plugin.connect())
    void drain(channel.value)
    void channel.value.attendBroker()
    await authOf(channel.value).checkPassword(attempt)
    const ticks = (): number => {
      const fields = readFileSync(`/proc/${plugin.child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
      return Number(fields[11]) + Number(fields[12])
    }
    // Compiling goes on for a moment after the first call; then a second of rest is looked for.
    const rests = async (): Promise<boolean> => {
      const before = ticks()
      await delay(1_000)
      return ticks() - before <= 3
    }
    expect((await rests()) || (await rests()) || (await rests())).toBe(true)
  })

  it('is its log on the real stderr, in the form that hosts parse', async () => {
    await using plugin = await startPlugin(polite.file)
    await using channel = await disposable(plugin.connect())
    await authOf(channel.value).checkPassword(attempt)
    await until(() => plugin.stderr().includes('\n'), 'a log line')
    const line = JSON.parse(plugin.stderr().split('\n')[0] ?? '') as Record<string, unknown>
    expect(line).toMatchObject({ '@level': 'info', '@message': 'asked', user: 'ada', address: '192.0.2.1' })
    expect(line['@timestamp']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  })

  it('is a message of five megabytes, to a host that takes it', async () => {
    await using plugin = await startPlugin(polite.file)
    await using channel = await disposable(plugin.connect())
    const long = { ...attempt, password: 'x'.repeat(5 << 20) }
    await expect(authOf(channel.value).checkPassword(long)).resolves.toMatchObject({ granted: false })
    const big = authOf(channel.value).checkPassword({ ...attempt, username: 'big' })
    await expect(big).rejects.toMatchObject({ code: 'too-large' })
    await expect(authOf(channel.value).checkPassword(attempt)).resolves.toMatchObject({ granted: true })
  })

  it('has its settings typed, and none of the protocol in its environment', async () => {
    await using plugin = await startPlugin(polite.file, {
      settings: { greeting: 'hello' },
      environment: { MINE: '1' },
    })
    await using channel = await disposable(plugin.connect())
    const api = authOf(channel.value)
    await expect(api.checkPassword({ ...attempt, username: 'greet' })).resolves.toMatchObject({
      reason: 'hello',
    })
    const said = await api.checkPassword({ ...attempt, username: 'environment' })
    const names = 'reason' in said ? (said.reason ?? '').split(' ') : []
    expect(names).toContain('MINE')
    expect(names.filter((name) => name.startsWith('PLUGIN_') || name.includes('SETTINGS'))).toEqual([])
  })
})

describe('the end of a plugin', () => {
  it('comes although calls are under way, and they end with an error', async () => {
    await using plugin = await startPlugin(polite.file)
    const channel = await plugin.connect()
    const hanging = expect(
      authOf(channel).checkPassword({ ...attempt, username: 'hang' }),
    ).rejects.toMatchObject({
      name: 'PluginError',
    })
    const begin = performance.now()
    await channel.shutdown()
    expect(await plugin.exited()).toEqual({ code: 0, signal: null })
    expect(performance.now() - begin).toBeLessThan(2_000)
    await hanging
  })

  it('is not brought by SIGINT', async () => {
    await using plugin = await startPlugin(polite.file)
    await using channel = await disposable(plugin.connect())
    plugin.child.kill('SIGINT')
    await expect(authOf(channel.value).checkPassword(attempt)).resolves.toMatchObject({ granted: true })
    expect(plugin.child.exitCode).toBeNull()
  })

  it('in a crash fails the call at once with code exited', async () => {
    await using plugin = await startPlugin(polite.file)
    const channel = await plugin.connect()
    const begin = performance.now()
    await expect(authOf(channel).checkPassword({ ...attempt, username: 'crash' })).rejects.toMatchObject({
      code: 'exited',
    })
    expect(performance.now() - begin).toBeLessThan(500)
    expect(await plugin.exited()).toEqual({ code: 3, signal: null })
    expect(channel.isOpen).toBe(false)
    await expect(authOf(channel).checkPassword(attempt)).rejects.toMatchObject({ code: 'exited' })
  })

  it('by an error that nobody caught is told in an error line, and is not a success', async () => {
    await using plugin = await startPlugin(polite.file)
    const channel = await plugin.connect()
    await authOf(channel).checkPassword({ ...attempt, username: 'throw-late' })
    expect((await plugin.exited()).code).toBe(2)
    const line =
      plugin
        .stderr()
        .split('\n')
        .find((text) => text.includes('thrown late')) ?? '{}'
    expect(JSON.parse(line)).toMatchObject({ '@level': 'error' })
    await channel.close()
  })

  it('comes by itself when its host was killed', async () => {
    using directory = temporaryDirectory()
    const { spawn } = await import('node:child_process')
    const environment = {
      ...announcementVariables({ cookie: slots.auth.cookie, versions: [1], socketFolder: directory.path }),
      PATH: process.env['PATH'] ?? '',
    }
    // A host that starts the plugin, tells its pid and then stands still.
    const script = `const { spawn } = require('node:child_process')
      const child = spawn(process.execPath, [${JSON.stringify(polite.file)}], { stdio: ['ignore', 'pipe', 'inherit'] })
      child.stdout.once('data', () => console.log(child.pid))
      setInterval(() => {}, 1000)`
    const host = spawn(process.execPath, ['-e', script], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const pid = await new Promise<number>((resolve) =>
      host.stdout.once('data', (bytes: Buffer) => resolve(Number(bytes))),
    )
    expect(isAlive(pid)).toBe(true)
    host.kill('SIGKILL')
    await until(() => !isAlive(pid), 'the plugin left')
  })

  it('comes by itself when its host lived behind a program in between and was killed', async () => {
    const shell = ['/bin/sh', '-c', `"${process.execPath}" "${polite.file}"; exit $?`]
    await using plugin = await startPlugin(polite.file, { command: shell })
    const channel = await plugin.connect()
    await channel.close()
    // The shell lives as long as the plugin does.
    await until(() => plugin.child.exitCode !== null, 'the plugin left')
    expect(plugin.child.exitCode).toBe(0)
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // Without somebody to collect it, a dead process stays in the table.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

function collect(channel: Channel) {
  const heard = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), pieces: [] as PrintedBytes[] }
  void (async () => {
    for await (const piece of channel.output()) {
      heard.pieces.push(piece)
      heard[piece.from] = Buffer.concat([heard[piece.from], piece.bytes])
    }
  })()
  return heard
}

async function drain(channel: Channel): Promise<void> {
  for await (const _ of channel.output()) continue
}

async function disposable(opening: Promise<Channel>) {
  const value = await opening
  return { value, [Symbol.asyncDispose]: () => value.close() }
}
