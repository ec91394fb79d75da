import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../../src/host/checksum.ts'
import { addressFilters } from '../../../src/host/address-filters.ts'
import { keeperPlugins } from '../../../src/host/key-keepers.ts'
import { loginPlugins } from '../../../src/host/login-plugins.ts'
import { openHostDeath } from '../../../src/host/host-death.ts'
import type { PluginEntry } from '../../../src/host/plugin-entry.ts'
import { probePlugin, type ProbeStep } from '../../../src/host/probe.ts'
import type { SlotName } from '../../../src/slots/index.ts'
import { isRunning, openTestHost } from '../../helpers/plugin-host.ts'
import { temporaryDirectory } from '../../helpers/temporary-directory.ts'
import { buildGoPrograms } from './toolchain.ts'

const built = buildGoPrograms()
const reason = 'missing' in built ? ` (skipped: ${built.missing})` : ''

function entry(type: SlotName, more: Partial<PluginEntry> = {}): PluginEntry {
  const cmd = join('folder' in built ? built.folder : '', type)
  return {
    name: 'go',
    type,
    cmd,
    args: [],
    sha256sum: digestOf(readFileSync(cmd)),
    envPrefix: 'none',
    ...more,
  }
}

const attempt = {
  username: 'ada',
  password: 'engine',
  address: '192.0.2.7',
  protocol: 'SSH',
  user: { id: 0 },
}

describe.skipIf('missing' in built)(`a plugin in Go under our host${reason}`, () => {
  it.each([
    ['mutual TLS, sealed', {}],
    ['mutual TLS, private copy', { runFrom: 'file' }],
    ['plaintext', { autoMtls: false }],
  ] as const)('is started, asked and stopped (%s)', async (_, more) => {
    await using it = await openTestHost([entry('ipfilter', more)], { allowPlaintext: true })
    await it.host.settled()
    expect(it.status()).toMatchObject({ state: 'ready', starts: 1 })
    const [filter] = addressFilters(it.host)
    expect(await filter?.filter.check({ address: '192.0.2.1', protocol: 'SSH' })).toEqual({ allowed: true })
    expect(await filter?.filter.check({ address: '203.0.113.5', protocol: 'SSH' })).toMatchObject({
      allowed: false,
      certain: false,
    })
    const { pid } = it.status()
    const began = performance.now()
    await it.host.close()
    expect(await isRunning(pid)).toBe(false)
    expect(performance.now() - began).toBeLessThan(1500)
    const left = it.log.entries.find(({ message }) => message === 'plugin stopped')
    expect(left?.fields['left_by']).toBe('shutdown')
  })

  it('fills every slot at once', async () => {
    using folder = temporaryDirectory()
    const environment = { NOTICES: folder.file('notices') }
    const entries = (['auth', 'notifier', 'kms', 'ipfilter'] as const).map((type) =>
      entry(type, {
        name: type,
        envVars: ['NOTICES'],
        ...(type === 'auth' && { scope: 1 }),
        ...(type === 'kms' && { keeper: { scheme: 'hashivault', encryptedStatus: 'VaultTransit' } }),
      }),
    )
    await using it = await openTestHost(entries, { environment })
    await it.host.settled()
    expect(it.host.status().map(({ state }) => state)).toEqual(['ready', 'ready', 'ready', 'ready'])
    const [login] = loginPlugins(it.host)
    expect(await login?.authenticator.checkPassword?.(attempt)).toMatchObject({ granted: true })
    expect(await login?.authenticator.checkPassword?.({ ...attempt, password: 'x' })).toMatchObject({
      granted: false,
      certain: false,
      reason: expect.stringContaining('wrong name or password'),
    })
    const [keeper] = keeperPlugins(it.host)
    const asked = { additionalData: 'ada', url: 'hashivault://k', masterKey: '' }
    const sealed = await keeper?.keeper.seal({ ...asked, payload: 'secret' })
    expect(await keeper?.keeper.open({ ...asked, ...(sealed ?? { payload: '', key: '', mode: 0 }) })).toBe(
      'secret',
    )
    expect(it.host.filled('notifier')[0]?.api).toBeDefined()
  })

  it('sees four variables, our socket folder, its own bytes as descriptor 3, and nothing else of ours', async () => {
    const environment = { ...process.env, SECRET: 'x' }
    await using it = await openTestHost([entry('auth', { scope: 1 })], { environment })
    await it.host.settled()
    const [login] = loginPlugins(it.host)
    const answer = await login?.authenticator.checkPassword?.({ ...attempt, username: 'environment' })
    // The plugin answers with its environment as the user's description.
    const { user } = answer as { user?: { record?: { description?: string } } }
    const names = user?.record?.description?.split('\n').map((line) => line.split('=')[0] ?? '')
    expect(names?.filter((name) => /^[A-Z_]+$/.test(name)).sort()).toEqual([
      ...['PLUGIN_CLIENT_CERT', 'PLUGIN_MAX_PORT', 'PLUGIN_MIN_PORT', 'PLUGIN_PROTOCOL_VERSIONS'],
      ...['PLUGIN_UNIX_SOCKET_DIR', 'SFTPGO_PLUGIN_AUTH'],
    ])
  })

  it.skipIf(process.platform !== 'linux')(
    'has an empty standard input, its output as pipes, its own bytes, and no descriptor of ours',
    async () => {
      await using it = await openTestHost([entry('auth', { scope: 1 })])
      await it.host.settled()
      const [login] = loginPlugins(it.host)
      const answer = await login?.authenticator.checkPassword?.({ ...attempt, username: 'files' })
      const { user } = answer as { user?: { record?: { description?: string } } }
      const files = (user?.record?.description ?? '').split('\n').sort((a, b) => parseInt(a) - parseInt(b))
      const [input, output, errors, ...rest] = files
      expect(input).toBe('0 /dev/null')
      expect(output).toMatch(/^1 (?:pipe|socket):/)
      expect(errors).toMatch(/^2 (?:pipe|socket):/)
      const sealed = it.status().runsFrom === 'sealed memory'
      if (sealed) expect(rest.shift()).toMatch(/^3 \/memfd:plugin:auth/)
      // What is left the plugin opened itself: Go's poller, pipes of go-plugin, its socket, and the folder it read.
      for (const file of rest) expect(file).toMatch(/ (?:anon_inode:|pipe:|socket:|\/proc\/\d+\/fd$|\/sys\/)/)
    },
  )

  it('may print five thousand lines and a megabyte past its own log, and goes on', async () => {
    await using it = await openTestHost([entry('auth', { scope: 1 })])
    await it.host.settled()
    const [login] = loginPlugins(it.host)
    await login?.authenticator.checkPassword?.({ ...attempt, username: 'lines' })
    expect(await login?.authenticator.checkPassword?.(attempt)).toMatchObject({ granted: true })
    const records = () => it.host.recentOutput('go')
    await it.until(() =>
      records().some(({ fields }) => Number(fields['dropped']) > 0 || records().length > 500),
    )
    const lines = it.log.entries.filter(({ fields }) => String(fields['text']).startsWith('line'))
    expect(lines).toEqual([])
    expect(await login?.authenticator.checkPassword?.(attempt)).toMatchObject({ granted: true })
  })

  it('is one process, however many ask to restart it at once, and none when the host has closed', async () => {
    await using it = await openTestHost([entry('ipfilter')])
    await it.host.settled()
    await Promise.all([it.host.restart('go'), it.host.restart('go'), it.host.restart('go')])
    expect(it.status().state).toBe('ready')
    const { pid } = it.status()
    const late = it.host.restart('go')
    await it.host.close()
    await it.host.close()
    await late
    expect(await isRunning(pid)).toBe(false)
    expect(it.status().state).toBe('stopped')
  })

  it('that was killed is stopped without harm', async () => {
    await using it = await openTestHost([entry('ipfilter')], { pace: { firstRestartMs: 60_000 } })
    await it.host.settled()
    process.kill(it.status().pid ?? 0, 'SIGKILL')
    await it.until(({ state }) => state === 'waiting')
    expect(it.status().lastExit).toBe('by signal SIGKILL')
    await it.host.close()
    expect(it.status().state).toBe('stopped')
  })

  it('keeps level, message and pairs of its log lines, and what it prints', async () => {
    await using it = await openTestHost([entry('auth', { scope: 1, logLevel: 'debug' })])
    await it.host.settled()
    const [login] = loginPlugins(it.host)
    await login?.authenticator.checkPassword?.({ ...attempt, username: 'log' })
    await login?.authenticator.checkPassword?.({ ...attempt, username: 'print', password: 'printed text\n' })
    const said = () => it.host.recentOutput('go')
    await it.until(() => said().some(({ message }) => message.includes('err:printed text')))
    expect(said()).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        message: 'asked',
        fields: expect.objectContaining({ user: 'log', address: '192.0.2.7' }),
      }),
    )
    expect(said()).toContainEqual(
      expect.objectContaining({ stream: 'stdio-stdout', message: 'printed text' }),
    )
  })

  it('may print a megabyte before anybody asks for it', async () => {
    await using it = await openTestHost([entry('auth', { scope: 1 })])
    await it.host.settled()
    const [login] = loginPlugins(it.host)
    const password = `${'z'.repeat(1 << 20)}\n`
    await login?.authenticator.checkPassword?.({ ...attempt, username: 'print', password })
    expect(await login?.authenticator.checkPassword?.(attempt)).toMatchObject({ granted: true })
  })

  it('that panics fails its call at once, tells its panic, and is back', async () => {
    await using it = await openTestHost([entry('auth', { scope: 1 })])
    await it.host.settled()
    const [login] = loginPlugins(it.host)
    const began = performance.now()
    const call = login?.authenticator.checkPassword?.({ ...attempt, username: 'panic' })
    await expect(call).rejects.toMatchObject({ code: 'exited' })
    expect(performance.now() - began).toBeLessThan(1000)
    await it.until(({ state, starts }) => state === 'ready' && starts === 2, 5000)
    expect(it.status().lastExit).toBe('with exit code 2')
    const errors = it.log.entries.filter(
      ({ level, message }) => level === 'error' && message === 'plugin output',
    )
    expect(errors[0]?.fields['text']).toBe('panic: a bug in the plugin')
    expect(await login?.authenticator.checkPassword?.(attempt)).toMatchObject({ granted: true })
  })

  it('that cannot start has its reason in the state', async () => {
    const entries = [entry('auth', { scope: 1, envVars: ['LINES_BEFORE'] })]
    await using it = await openTestHost(entries, {
      environment: { LINES_BEFORE: '1' },
      pace: { firstRestartMs: 60_000 },
    })
    await it.host.settled()
    expect(it.status().reason).toMatchObject({
      code: 'exited',
      message:
        '"go" ended before its first line, with exit code 4; it said: [ERROR] cannot reach the directory',
    })
  })

  it('whose lists cannot be read again cannot answer', async () => {
    const entries = [entry('ipfilter', { envVars: ['RELOAD_FAILS'] })]
    await using it = await openTestHost(entries, { environment: { RELOAD_FAILS: '1' } })
    await it.host.settled()
    await it.host.reload(entries)
    const [filter] = addressFilters(it.host)
    await expect(filter?.filter.check({ address: '192.0.2.1', protocol: 'SSH' })).rejects.toMatchObject({
      code: 'not-ready',
      message: expect.stringContaining('list is gone'),
    })
  })

  it('that stands still is found out and replaced', async () => {
    const supervision = { healthEveryMs: 100, healthTimeoutMs: 400, memoryEveryMs: 500, callsEveryMs: 100 }
    await using it = await openTestHost([entry('ipfilter')], { pace: { supervision, firstRestartMs: 50 } })
    await it.host.settled()
    const { pid = 0 } = it.status()
    process.kill(pid, 'SIGSTOP')
    await it.until(({ state, starts }) => state === 'ready' && starts === 2, 5000)
    expect(await isRunning(pid)).toBe(false)
  })

  it('shows its methods to a probe, and is not asked anything by it', async () => {
    using folder = temporaryDirectory()
    const hostDeath = await openHostDeath()
    const steps: ProbeStep[] = []
    await probePlugin(entry('auth'), {
      ...{ runFolder: folder.path, runFrom: 'memory', startTimeoutMs: 10_000, allowPlaintext: false },
      ...{ environment: {}, hostDeath, onStep: (step) => steps.push(step) },
    })
    hostDeath.close()
    expect(steps.find(({ name }) => name === 'methods')?.detail).toMatch(
      /^has CheckUserAndPass, .*SendKeyboardAuthRequest$/,
    )
    expect(steps.find(({ name }) => name === 'health')?.detail).toBe('serving')
  })
})
