import { readFileSync, readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PluginError } from '../../src/base/errors.ts'
import type { Labels, Meter } from '../../src/base/meter.ts'
import { digestOf } from '../../src/host/checksum.ts'
import type { PluginEntry } from '../../src/host/plugin-entry.ts'
import type { SlotName } from '../../src/slots/index.ts'
import { isRunning, misbehaving, openTestHost, pluginProcesses } from '../helpers/plugin-host.ts'
import { buildPlugin } from '../helpers/plugin-process.ts'

const linux = process.platform === 'linux'
const here = { address: '127.0.0.1', protocol: 'SSH' }
const attempt = { username: 'ada', password: 'x', address: '127.0.0.1', protocol: 'SSH', user: {} }
const sealing = { payload: 'secret', additionalData: 'ada', url: 'hashivault://k', masterKey: '' }
const notice = {
  ...{
    timestamp: 1n,
    action: 'upload',
    username: 'ada',
    storagePath: '/a',
    sshCommand: '',
    status: 1 as const,
  },
  ...{ storageTargetPath: '', size: 1n, protocol: 'SFTP', address: '127.0.0.1', path: '/a', targetPath: '' },
  ...{
    sessionId: 's',
    filesystemProvider: 0,
    bucket: '',
    endpoint: '',
    openFlags: 0,
    role: '',
    metadata: {},
  },
  elapsedMs: 1n,
}

let polite: Awaited<ReturnType<typeof buildPlugin>>
beforeAll(async () => {
  polite = await buildPlugin('polite')
})
afterAll(() => polite[Symbol.dispose]())

describe('a plugin that is killed', () => {
  it('fails a hundred calls under way within a second, and answers again within two (F-1)', async () => {
    const entry = await misbehaving('slow-calls', { type: 'auth', scope: 1, args: ['slow-calls', '3000'] })
    await using it = await openTestHost([entry], { pace: { firstRestartMs: 250 } })
    await it.host.settled()
    const api = it.host.ask('auth', 'it')
    const calls = Array.from({ length: 100 }, () => api.checkPassword(attempt))
    const ended = Promise.allSettled(calls)
    await it.until(({ calls: { running, waiting } }) => running === 64 && waiting === 36)
    const killed = performance.now()
    process.kill(it.status().pid ?? 0, 'SIGKILL')
    const codes = (await ended).map((call) => (call.status === 'rejected' ? codeOf(call.reason) : 'answered'))
    expect(performance.now() - killed).toBeLessThan(1000)
    expect(codes).toEqual(Array.from({ length: 100 }, () => 'exited'))
    await it.until(({ state, starts }) => state === 'ready' && starts === 2, 3000)
    expect(performance.now() - killed).toBeLessThan(2000)
  })

  it.each(['ipfilter', 'kms'] as const)(
    'in slot %s fails the call under way, counts it and says so once, all within a second (F-3)',
    async (type) => {
      const counts = countingMeter()
      const entry = await misbehaving('slow-calls', { type, args: ['slow-calls', '3000'], ...keeperOf(type) })
      await using it = await openTestHost([entry], { meter: counts.meter, pace: { firstRestartMs: 60_000 } })
      await it.host.settled()
      const call =
        type === 'kms' ? it.host.ask('kms', 'it').seal(sealing) : it.host.ask('ipfilter', 'it').check(here)
      const failed = expect(call).rejects.toMatchObject({ code: 'exited' })
      await it.until(({ calls: { running } }) => running === 1)
      const killed = performance.now()
      process.kill(it.status().pid ?? 0, 'SIGKILL')
      await failed
      await it.until(({ state }) => state === 'waiting')
      expect(performance.now() - killed).toBeLessThan(1000)
      const outcomes = counts.of('sftpgo_plugin_calls_total').map(({ labels }) => labels['outcome'])
      expect(outcomes).toEqual(['exited'])
      const said = it.log.entries.filter(({ message }) => message === 'plugin is not running')
      expect(said).toMatchObject([{ level: 'error', fields: { code: 'exited' } }])
      const [filter] = it.host.configured(type)
      expect(filter?.api).toBeUndefined()
      expect(filter?.reason).toMatchObject({ code: 'exited' })
    },
  )
})

describe('a plugin that is stopped in every slot (F-4)', () => {
  it.skipIf(!linux)(
    'is found out within ten seconds, replaced, and alone when the old one would go on',
    { timeout: 30_000 },
    async () => {
      const types: readonly SlotName[] = ['auth', 'notifier', 'kms', 'ipfilter']
      const entries = types.map((type) => politeEntry(type))
      await using it = await openTestHost(entries, { pace: { firstRestartMs: 250 } })
      await it.host.settled()
      const before = types.map((name) => it.status(name).pid ?? 0)
      const began = performance.now()
      for (const pid of before) process.kill(pid, 'SIGSTOP')
      const asked = Promise.allSettled([
        it.host.ask('auth', 'auth').checkPassword(attempt),
        it.host.ask('notifier', 'notifier').notifyFile(notice),
        it.host.ask('kms', 'kms').seal(sealing),
        it.host.ask('ipfilter', 'ipfilter').check(here),
      ])
      for (const name of types) await it.until(({ starts }) => starts === 2, 11_000, name)
      // Found out, and already started again.
      expect(performance.now() - began).toBeLessThan(11_000)
      for (const call of await asked)
        expect(call).toMatchObject({
          status: 'rejected',
          reason: { code: expect.stringMatching(/hung|deadline/) },
        })
      for (const name of types) await it.until(({ state }) => state === 'ready', 10_000, name)
      for (const pid of before) expect(await isRunning(pid)).toBe(false)
      const after = types.map((name) => it.status(name).pid ?? 0)
      expect(new Set(await pluginProcesses())).toEqual(new Set(after))
    },
  )
})

describe('a plugin that ends again and again (F-8)', () => {
  it.skipIf(!linux).each(['dies-before', 'dies-at', 'dies-after'])(
    '(%s) costs little, leaves no zombie, and is given up after its twentieth start',
    { timeout: 30_000 },
    async (mode) => {
      await using it = await openTestHost([await misbehaving(mode)], {
        pace: { firstRestartMs: 1, mostRestartMs: 5 },
      })
      const before = process.cpuUsage()
      const { starts, reason } = await it.until(({ state }) => state === 'failed', 25_000)
      const { user, system } = process.cpuUsage(before)
      expect(starts).toBe(20)
      expect(reason?.code).toBe('too-many-restarts')
      // Twenty starts are all there are in ten minutes.
      expect((user + system) / 1e6 / 600).toBeLessThan(0.02)
      expect(zombies()).toEqual([])
    },
  )
})

describe('a plugin that takes ten seconds for each answer (F-9)', () => {
  it('holds up no more than its bounds, and the others hear at once, with a name of their own', async () => {
    const counts = countingMeter()
    const entry = await misbehaving('slow-calls', {
      ...{ type: 'auth', scope: 1, args: ['slow-calls', '10000'], callTimeoutMs: 1500 },
      limits: { calls: 8, queue: 16 },
    })
    await using it = await openTestHost([entry], { meter: counts.meter, pace: { firstRestartMs: 60_000 } })
    await it.host.settled()
    const api = it.host.ask('auth', 'it')
    const began = performance.now()
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const code = await api.checkPassword(attempt).then(
          () => 'answered',
          (error: unknown) => codeOf(error),
        )
        return { code, tookMs: performance.now() - began }
      }),
    )
    const refused = outcomes.filter(({ code, tookMs }) => code === 'overloaded' && tookMs < 1000)
    expect(refused.length).toBe(200 - 24)
    const counted = counts.of('sftpgo_plugin_calls_total').map(({ labels }) => labels['outcome'])
    expect(counted.filter((outcome) => outcome === 'overloaded').length).toBeGreaterThanOrEqual(200 - 24)
    expect(outcomes.filter(({ code }) => code === 'answered')).toEqual([])
    expect(Math.max(...outcomes.map(({ tookMs }) => tookMs))).toBeLessThan(5000)
  })
})

function politeEntry(type: SlotName): PluginEntry {
  const sha256sum = digestOf(readFileSync(polite.file))
  return {
    name: type,
    type,
    cmd: polite.file,
    args: [],
    sha256sum,
    envPrefix: 'none',
    scope: 15,
    ...keeperOf(type),
  }
}

function keeperOf(type: SlotName): Partial<PluginEntry> {
  return type === 'kms' ? { keeper: { scheme: 'hashivault', encryptedStatus: 'VaultTransit' } } : {}
}

function codeOf(error: unknown): string {
  return error instanceof PluginError ? error.code : String(error)
}

function countingMeter() {
  const added: { readonly name: string; readonly labels: Labels }[] = []
  const meter: Meter = {
    add: (name, _amount, labels = {}) => void added.push({ name, labels }),
    observe() {},
    set() {},
  }
  return { meter, of: (name: string) => added.filter((one) => one.name === name) }
}

/** Children of this process that ended and that nobody has asked about. */
function zombies(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return state === 'Z' && parent === String(process.pid)
    } catch {
      return false // not a process, or one that is gone
    }
  })
}
