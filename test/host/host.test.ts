import { appendFileSync, copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { addressFilters } from '../../src/host/address-filters.ts'
import { startPluginHost } from '../../src/host/host.ts'
import { loginPlugins } from '../../src/host/login-plugins.ts'
import type { PluginEntry } from '../../src/host/plugin-entry.ts'
import { isRunning, misbehaving, openTestHost } from '../helpers/plugin-host.ts'
import { recordingLog } from '../helpers/recording-log.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const here = { address: '127.0.0.1', protocol: 'SSH' }
const calm = { pace: { firstRestartMs: 60_000 } }

describe('a host', () => {
  it('starts a plugin and asks it', async () => {
    await using it = await openTestHost([await misbehaving('polite')])
    await it.host.settled()
    expect(it.status()).toMatchObject({ state: 'ready', starts: 1 })
    const [filter] = it.host.filled('ipfilter')
    expect(await filter?.api.check(here)).toEqual({ allowed: true })
    expect(await filter?.api.check({ ...here, address: '10.0.0.1' })).toMatchObject({
      allowed: false,
      certain: true,
      reason: 'not from here',
    })
  })

  it('does not start without an entry that is required, says why, and leaves nothing', async () => {
    using folder = temporaryDirectory()
    const entries = [
      await misbehaving('polite', { name: 'good' }),
      await misbehaving('wrong-line', { name: 'bad' }),
    ]
    const log = recordingLog()
    await expect(startPluginHost({ entries, log, stateFolder: folder.path })).rejects.toMatchObject({
      code: 'bad-handshake',
      message: expect.stringMatching(/"bad".*The first line is not a handshake/),
    })
    expect(JSON.parse(readFileSync(folder.file('plugins.json'), 'utf8'))).toEqual([])
  })

  it('starts without one that is not, and keeps saying so', async () => {
    using folder = temporaryDirectory()
    const entries = [
      await misbehaving('polite', { name: 'a' }),
      await misbehaving('wrong-line', { name: 'b', required: false }),
    ]
    const log = recordingLog()
    await using host = await startPluginHost({ entries, log, stateFolder: folder.path, ...calm })
    expect(host.status().map(({ name, state }) => [name, state])).toEqual([
      ['a', 'ready'],
      ['b', 'waiting'],
    ])
    expect(
      log.entries.some(({ level, message }) => level === 'error' && message === 'plugin is not running'),
    ).toBe(true)
  })

  it('does not start an entry without a checksum, and says the line to paste', async () => {
    const { sha256sum = '', ...entry } = await misbehaving('polite')
    await using it = await openTestHost([entry], calm)
    await it.host.settled()
    expect(it.status()).toMatchObject({ state: 'failed', reason: { code: 'checksum-missing' } })
    expect(it.status().reason?.message).toContain(`"sha256sum": "${sha256sum}"`)
  })

  it('starts it when it is marked for development and the server was started for that', async () => {
    const { sha256sum, ...entry } = await misbehaving('polite', { dev: true })
    expect(sha256sum).toBeDefined()
    await using strict = await openTestHost([entry], calm)
    await strict.host.settled()
    expect(strict.status().state).toBe('failed')
    await using it = await openTestHost([entry], { allowDev: true })
    await it.host.settled()
    expect(it.status().state).toBe('ready')
  })

  it('lists an entry that is not enabled and does not start it', async () => {
    await using it = await openTestHost([await misbehaving('polite', { enabled: false })])
    await it.host.settled()
    expect(it.status()).toMatchObject({ state: 'stopped', enabled: false, starts: 0 })
    expect(it.host.configured('ipfilter')).toEqual([])
  })

  it('shows a plugin only what its entry allows', async () => {
    const entry = await misbehaving('prints-environment', { envVars: ['ALLOWED'], settings: { depth: 3 } })
    const environment = {
      ALLOWED: 'yes',
      SECRET: 'no',
      PLUGIN_CLIENT_CERT: 'ours',
      NODE_OPTIONS: '--inspect',
    }
    await using it = await openTestHost([entry], { environment })
    await it.host.settled()
    await it.until(() => it.host.recentOutput('it').length > 0)
    const names = it.host.recentOutput('it')[0]?.message.replace('[INFO] ', '').split(',')
    expect(names).toEqual([
      ...['ALLOWED', 'PLUGIN_CLIENT_CERT', 'PLUGIN_MAX_PORT', 'PLUGIN_MIN_PORT', 'PLUGIN_PROTOCOL_VERSIONS'],
      ...['PLUGIN_UNIX_SOCKET_DIR', 'SFTPGO_PLUGIN_IPFILTER', 'SFTPGO_TS_PLUGIN_SETTINGS'],
    ])
  })
})

describe('a program that was changed', () => {
  async function ownCopy(folder: ReturnType<typeof temporaryDirectory>): Promise<PluginEntry> {
    const entry = await misbehaving('polite')
    const cmd = folder.file('plugin.mjs')
    copyFileSync(entry.cmd, cmd)
    return { ...entry, cmd }
  }

  it('goes on running as it was, is not started again, and comes back with the right file', async () => {
    using folder = temporaryDirectory()
    const entry = await ownCopy(folder)
    await using it = await openTestHost([entry])
    await it.host.settled()
    const { pid = 0 } = it.status()
    appendFileSync(entry.cmd, '// changed\n')
    expect(await it.host.filled('ipfilter')[0]?.api.check(here)).toEqual({ allowed: true })
    process.kill(pid, 'SIGKILL')
    const waiting = await it.until(
      ({ state, reason }) => state === 'waiting' && reason?.code === 'checksum-mismatch',
    )
    expect(waiting.starts).toBe(1)
    expect(waiting.reason?.remedy).toContain('Put the right file back')
    expect(waiting.againInMs).toBeGreaterThan(50_000)
    copyFileSync((await misbehaving('polite')).cmd, folder.file('right'))
    renameSync(folder.file('right'), entry.cmd)
    await it.until(({ state, starts }) => state === 'ready' && starts === 2, 5000)
  })

  it('does not use up its starts while it waits', async () => {
    using folder = temporaryDirectory()
    const entry = await ownCopy(folder)
    writeFileSync(entry.cmd, 'other bytes')
    await using it = await openTestHost([entry], { pace: { hashAgainMs: 5, lookAgainMs: 5, mostStarts: 3 } })
    await it.host.settled()
    for (let n = 0; n < 30; n += 1) writeFileSync(entry.cmd, `other bytes ${n}`)
    expect(it.status()).toMatchObject({ state: expect.stringMatching(/waiting|verifying/), starts: 0 })
    copyFileSync((await misbehaving('polite')).cmd, entry.cmd)
    await it.until(({ state }) => state === 'ready', 5000)
    expect(it.log.entries.filter(({ message }) => message === 'plugin is not running').length).toBeLessThan(
      35,
    )
  })

  it('comes back when a missing file appears', async () => {
    using folder = temporaryDirectory()
    const entry = { ...(await misbehaving('polite')), cmd: folder.file('later.mjs') }
    await using it = await openTestHost([entry])
    await it.host.settled()
    expect(it.status()).toMatchObject({ state: 'waiting', reason: { code: 'not-found' } })
    copyFileSync((await misbehaving('polite')).cmd, entry.cmd)
    await it.until(({ state }) => state === 'ready', 5000)
  })
})

describe('restarting', () => {
  it('is quick after the first failure and slower after each further one', async () => {
    const waits: number[] = []
    await using it = await openTestHost([await misbehaving('dies-before')], {
      pace: { firstRestartMs: 200, mostRestartMs: 1_000 },
    })
    for (let n = 1; n <= 5; n += 1) {
      const { againInMs = 0 } = await it.until(({ state, starts }) => state === 'waiting' && starts === n)
      waits.push(againInMs)
    }
    expect(waits[0]).toBeLessThanOrEqual(200)
    expect(waits[2]).toBeGreaterThan(400)
    expect(Math.max(...waits)).toBeLessThanOrEqual(1_000)
  })

  it('ends in failed after too many, loudly, with the command that tries again', async () => {
    using folder = temporaryDirectory()
    const starts = folder.file('starts')
    writeFileSync(starts, '')
    const entry = await misbehaving('counts-starts-and-dies', { args: ['counts-starts-and-dies', starts] })
    await using it = await openTestHost([entry], {
      pace: { firstRestartMs: 1, mostRestartMs: 1, mostStarts: 4 },
    })
    const failed = await it.until(({ state }) => state === 'failed')
    expect(failed.reason?.code).toBe('too-many-restarts')
    expect(failed.reason?.message).toMatch(
      /started 4 times in 10 minutes.*"sftpgo-ts plugin restart it" tries again/,
    )
    expect(readFileSync(starts, 'utf8').split('\n').length - 1).toBe(4)
    const loud = it.log.entries.filter(({ fields }) => fields['code'] === 'too-many-restarts')
    expect(loud).toMatchObject([{ level: 'error', fields: { try_again: 'sftpgo-ts plugin restart it' } }])
    await it.host.restart('it')
    await it.until(({ starts: count }) => count > 4)
  })

  it('replaces a running process when asked to', async () => {
    await using it = await openTestHost([await misbehaving('polite')])
    await it.host.settled()
    const { pid } = it.status()
    const after = await it.host.restart('it')
    expect(after).toMatchObject({ state: 'ready' })
    expect(after.pid).not.toBe(pid)
    expect(await isRunning(pid)).toBe(false)
    await expect(it.host.restart('nobody')).rejects.toThrow('There is no plugin "nobody"; there are: it')
  })

  it('leaves another entry with the same program alone', async () => {
    const entries = [
      await misbehaving('polite', { name: 'one' }),
      await misbehaving('polite', { name: 'two' }),
    ]
    await using it = await openTestHost(entries)
    await it.host.settled()
    const [one, two] = [it.status('one').pid ?? 0, it.status('two').pid]
    expect(one).not.toBe(two)
    process.kill(one, 'SIGKILL')
    await it.until(({ state, starts }) => state === 'ready' && starts === 2, 5000, 'one')
    expect(it.status('two')).toMatchObject({ pid: two, starts: 1 })
  })

  it('is over within two seconds after a kill', async () => {
    await using it = await openTestHost([await misbehaving('polite')], { pace: { firstRestartMs: 250 } })
    await it.host.settled()
    const began = performance.now()
    process.kill(it.status().pid ?? 0, 'SIGKILL')
    await it.until(({ state, starts }) => state === 'ready' && starts === 2, 4000)
    expect(performance.now() - began).toBeLessThan(2000)
  })
})

describe('a reload', () => {
  it('replaces a changed plugin without a gap', async () => {
    const entry = await misbehaving('slow-calls', { args: ['slow-calls', '100'] })
    await using it = await openTestHost([entry])
    await it.host.settled()
    const [filter] = addressFilters(it.host)
    const { pid } = it.status()
    const over = new AbortController()
    const answers: unknown[] = []
    const asking = (async () => {
      while (!over.signal.aborted)
        answers.push(await filter?.filter.check(here).catch((error: unknown) => error))
    })()
    const report = await it.host.reload([{ ...entry, args: ['slow-calls', '50'] }])
    over.abort()
    await asking
    expect(report).toMatchObject({ replaced: ['it'], problems: [] })
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(new Set(['{"allowed":true}']))
    expect(answers.length).toBeGreaterThan(1)
    expect(it.status().pid).not.toBe(pid)
    expect(await isRunning(pid)).toBe(false)
  })

  it('keeps the old one when the new one does not become ready', async () => {
    const entry = await misbehaving('polite')
    await using it = await openTestHost([entry])
    await it.host.settled()
    const { pid } = it.status()
    const report = await it.host.reload([{ ...entry, args: ['wrong-line'] }])
    expect(report.problems).toMatchObject([{ name: 'it', oldRuns: true, reason: { code: 'bad-handshake' } }])
    expect(it.status()).toMatchObject({ state: 'ready', pid })
  })

  it('starts new entries, stops those that are gone, and applies enabled', async () => {
    const [a, b] = [await misbehaving('polite', { name: 'a' }), await misbehaving('polite', { name: 'b' })]
    await using it = await openTestHost([a])
    await it.host.settled()
    const { pid } = it.status('a')
    expect(await it.host.reload([b])).toMatchObject({ started: ['b'], stopped: ['a'] })
    expect(await isRunning(pid)).toBe(false)
    expect(await it.host.reload([{ ...b, enabled: false }])).toMatchObject({ stopped: ['b'] })
    expect(it.status('b').state).toBe('stopped')
    expect(await it.host.reload([b])).toMatchObject({ started: ['b'] })
  })

  it('applies what needs no other process without one', async () => {
    const entry = await misbehaving('polite')
    await using it = await openTestHost([entry])
    await it.host.settled()
    const { pid } = it.status()
    await it.host.reload([{ ...entry, whenDown: 'allow', logLevel: 'debug', required: false }])
    expect(it.status()).toMatchObject({ pid, required: false, starts: 1 })
    expect(addressFilters(it.host)).toMatchObject([{ whenDown: 'allow' }])
  })

  it('has filters read their lists again; one that cannot counts as one that cannot answer', async () => {
    const entry = await misbehaving('reload-fails')
    await using it = await openTestHost([entry])
    await it.host.settled()
    const [filter] = addressFilters(it.host)
    expect(await filter?.filter.check(here)).toEqual({ allowed: true })
    const report = await it.host.reload([entry])
    expect(report.problems).toMatchObject([{ name: 'it', reason: { code: 'failed' } }])
    await expect(filter?.filter.check(here)).rejects.toMatchObject({ code: 'not-ready' })
    expect(it.status()).toMatchObject({
      state: 'ready',
      reason: { message: expect.stringContaining('could not reload') },
    })
  })
})

describe('those who ask plugins', () => {
  it('are told at once when there is none ready, and why', async () => {
    await using it = await openTestHost([await misbehaving('wrong-line')], calm)
    await it.host.settled()
    const [filter] = addressFilters(it.host)
    await expect(filter?.filter.check(here)).rejects.toMatchObject({
      code: 'not-ready',
      message: expect.stringContaining('not a handshake'),
    })
  })

  it('hear a refusal, an uncertain refusal and a failure apart', async () => {
    await using it = await openTestHost([await misbehaving('polite')])
    await it.host.settled()
    const [filter] = addressFilters(it.host)
    expect(await filter?.filter.check({ ...here, address: '10.1.1.1' })).toMatchObject({
      allowed: false,
      certain: true,
    })
    expect(await filter?.filter.check({ ...here, address: '11.1.1.1' })).toMatchObject({
      allowed: false,
      certain: false,
    })
    await expect(filter?.filter.check({ ...here, address: '12.1.1.1' })).rejects.toMatchObject({
      code: 'failed',
    })
  })

  it('read UNKNOWN as a failure where the entry says so', async () => {
    await using it = await openTestHost([await misbehaving('polite', { unknownStatus: 'failure' })])
    await it.host.settled()
    const [filter] = addressFilters(it.host)
    await expect(filter?.filter.check({ ...here, address: '11.1.1.1' })).rejects.toMatchObject({
      code: 'failed',
    })
  })

  it('read UNKNOWN as a no for certain where the entry says so', async () => {
    await using it = await openTestHost([await misbehaving('polite', { unknownStatus: 'refusal' })])
    await it.host.settled()
    const [filter] = addressFilters(it.host)
    expect(await filter?.filter.check({ ...here, address: '11.1.1.1' })).toEqual({
      ...{ allowed: false, reason: 'who knows', certain: true },
    })
  })

  it('lose a dialogue with the process that began it', async () => {
    await using it = await openTestHost([await misbehaving('dialogue', { type: 'auth', scope: 4 })])
    await it.host.settled()
    const [login] = loginPlugins(it.host)
    const step = {
      dialogueId: 'd',
      username: 'ada',
      address: '127.0.0.1',
      password: '',
      answers: [],
      questions: [],
    }
    const first = await login?.authenticator.continueDialogue?.({ ...step, step: 1 })
    expect(first).toMatchObject({ next: 'ask' })
    await it.host.restart('it')
    const second = login?.authenticator.continueDialogue?.({ ...step, step: 2, answers: ['x'] })
    await expect(second).rejects.toMatchObject({ code: 'exited' })
  })

  it('are told when a notifier becomes ready, whichever process it is', async () => {
    const entry = await misbehaving('polite', { type: 'notifier' })
    await using it = await openTestHost([entry])
    const ready: string[] = []
    it.host.onReady((name) => ready.push(name))
    await it.host.settled()
    expect(it.host.filled('notifier')[0]?.api).toBeDefined()
    await it.host.reload([{ ...entry, args: ['polite', 'again'] }])
    await it.host.restart('it')
    expect(ready).toEqual(['it', 'it', 'it'])
  })

  it('wait in line only so long, and in no longer a line than allowed', async () => {
    const entry = await misbehaving('slow-calls', {
      args: ['slow-calls', '300'],
      limits: { calls: 2, queue: 3 },
      callTimeoutMs: 500,
    })
    await using it = await openTestHost([entry])
    await it.host.settled()
    const { api } = it.host.filled('ipfilter')[0] ?? {}
    const calls = await Promise.allSettled(Array.from({ length: 7 }, async () => api?.check(here)))
    const codes = calls.map((call) =>
      call.status === 'fulfilled' ? 'ok' : (call.reason as { code: string }).code,
    )
    expect(codes.slice(0, 4)).toEqual(['ok', 'ok', 'ok', 'ok'])
    // The fifth waited its time in line; the others found the line full.
    expect(codes.slice(4)).toEqual(['overloaded', 'overloaded', 'overloaded'])
    expect(it.status()).toMatchObject({ state: 'ready', starts: 1 })
  })

  it('are listed with time and outcome when the entry traces', async () => {
    await using it = await openTestHost([await misbehaving('polite', { logLevel: 'trace' })])
    await it.host.settled()
    await it.host.filled('ipfilter')[0]?.api.check(here)
    expect(it.host.recentOutput('it')).toContainEqual(
      expect.objectContaining({
        message: 'plugin call',
        fields: { method: 'proto.IPFilter/CheckIP', took_ms: expect.any(Number), outcome: 'answered' },
      }),
    )
  })
})
