import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { PluginErrorCode } from '../../src/base/errors.ts'
import { digestOf } from '../../src/host/checksum.ts'
import { isRunning, misbehaving, openTestHost, pluginProcesses } from '../helpers/plugin-host.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const linux = process.platform === 'linux'
const calm = { pace: { firstRestartMs: 60_000 } }
const here = { address: '127.0.0.1', protocol: 'SSH' }

/** The plugins that never become ready: what the state says, and how soon. */
const failures: readonly (readonly [mode: string, code: PluginErrorCode, says: RegExp])[] = [
  ['silent', 'start-timeout', /"it" printed no first line within 0.7 seconds/],
  [
    'half-line',
    'start-timeout',
    /printed no first line within 0\.7 seconds, only "1\|1\|unix\|\/tmp\/x" and no end of it/,
  ],
  [
    'wrong-line',
    'bad-handshake',
    /The first line is not a handshake but "Listening on port 8080 \\u001b\[31m\.\.\."/,
  ],
  ['empty-line', 'bad-handshake', /The first line is empty/],
  ['no-plugin', 'bad-handshake', /usage: tool/],
  ['megabyte-line', 'bad-handshake', /longer than 64 KiB/],
  ['wrong-version', 'incompatible-version', /has version 7 of the protocol and the host has 1/],
  ['wrong-core', 'bad-handshake', /core protocol version is "2"/],
  ['net-rpc', 'bad-handshake', /speaks "netrpc" and only "grpc" is supported/],
  ['foreign-host', 'bad-handshake', /"192\.0\.2\.1" is not on this machine/],
  ['bad-certificate', 'bad-handshake', /certificate is not base64/],
  ['no-certificate', 'plaintext-refused', /announced no certificate although mutual TLS is on/],
  ['plaintext', 'plaintext-refused', /announced no certificate/],
  ['wrong-certificate', 'untrusted-certificate', /certificate/],
  ['closes-stdout', 'bad-handshake', /closed its output before its first line/],
  [
    'dies-before',
    'exited',
    /with exit code 3; it said: \[ERROR\] the directory at ldap\.example cannot be reached/,
  ],
  ['dies-at', 'exited', /after its first line, with exit code 4/],
]

describe('a plugin that cannot start', () => {
  it.each(failures)('(%s) has a named state and says what is wrong', async (mode, code, says) => {
    const entry = await misbehaving(mode)
    const startTimeoutMs = code === 'start-timeout' ? 700 : 10_000
    await using it = await openTestHost([entry], { ...calm, startTimeoutMs })
    await it.host.settled()
    const { state, reason } = it.status()
    expect(state).toBe('waiting')
    expect(reason).toMatchObject({ code, message: expect.stringMatching(says) })
    expect(reason?.message).toContain('"it"')
    expect(reason?.remedy.length).toBeGreaterThan(5)
    expect(it.host.filled('ipfilter')).toEqual([])
    if (linux) expect(await pluginProcesses()).toEqual([])
    expect(JSON.parse(readFileSync(join(it.folder, 'plugins.json'), 'utf8'))).toEqual([])
    const loud = it.log.entries.filter(
      ({ level, message }) => level === 'error' && message !== 'plugin output',
    )
    expect(loud).toMatchObject([{ message: 'plugin is not running', fields: { plugin: 'it', code } }])
  })

  it.skipIf(!linux).each([
    ['wrong format', 'MZ and something more', /is neither a program of this system nor a script/],
    ['other processor', otherProcessor(), /was built for another processor/],
    ['missing interpreter', '#!/no/such/interpreter\n', /the system says ".*(?:No such file|ENOENT).*"/],
  ])('(%s) has the reason of the system', async (_what, text, says) => {
    using folder = temporaryDirectory()
    const cmd = folder.file('program')
    writeFileSync(cmd, text, { encoding: 'latin1', mode: 0o755 })
    const entry = await misbehaving('', { cmd, sha256sum: digestOf(Buffer.from(text, 'latin1')) })
    await using it = await openTestHost([entry], calm)
    await it.host.settled()
    expect(it.status().reason).toMatchObject({
      code: 'not-executable',
      message: expect.stringMatching(says),
    })
  })

  it.skipIf(!linux)(
    'leaves no descriptor, no process and no folder behind, however often it is tried',
    async () => {
      const modes = ['wrong-line', 'dies-before', 'wrong-certificate', 'dies-at']
      const entries = await Promise.all(modes.map((mode) => misbehaving(mode, { name: mode })))
      const count = () => readdirSync('/proc/self/fd').length
      await using it = await openTestHost(entries, { pace: { firstRestartMs: 20, mostRestartMs: 50 } })
      await it.host.settled()
      const before = count()
      for (const mode of modes) await it.until(({ starts }) => starts >= 4, 15_000, mode)
      await it.host.close()
      expect(count()).toBeLessThanOrEqual(before)
      expect(await pluginProcesses()).toEqual([])
      expect(readdirSync(it.folder)).toEqual(['plugins.json'])
    },
  )
})

describe('a plugin that is odd but means well', () => {
  it.each(['padded', 'seventh-field', 'slow-start', 'tcp', 'no-health', 'no-controller', 'not-serving'])(
    '(%s) runs',
    async (mode) => {
      await using it = await openTestHost([await misbehaving(mode, { args: [mode, '300'] })])
      await it.host.settled()
      expect(it.status().state).toBe('ready')
      expect(await it.host.filled('ipfilter')[0]?.api.check(here)).toEqual({ allowed: true })
    },
  )

  it('runs without certificates where the host and the entry allow it', async () => {
    const entry = await misbehaving('polite', { autoMtls: false })
    await using strict = await openTestHost([entry])
    await strict.host.settled()
    expect(strict.status()).toMatchObject({ state: 'failed', reason: { code: 'plaintext-refused' } })
    await using it = await openTestHost([entry], { allowPlaintext: true })
    await it.host.settled()
    expect(await it.host.filled('ipfilter')[0]?.api.check(here)).toEqual({ allowed: true })
  })

  it('has its socket where nobody else can put one, when it has no certificate', async () => {
    const entry = await misbehaving('foreign-socket', { autoMtls: false })
    await using it = await openTestHost([entry], { ...calm, allowPlaintext: true })
    await it.host.settled()
    expect(it.status().reason).toMatchObject({
      code: 'bad-handshake',
      message: expect.stringContaining('folder'),
    })
  })
})

describe('a plugin that goes wrong later', () => {
  it('(dies-after) is noticed at once and started again', async () => {
    await using it = await openTestHost([await misbehaving('dies-after')])
    await it.until(({ starts }) => starts >= 3)
    expect(it.status().lastExit).toBe('with exit code 5')
    expect(it.log.entries).toContainEqual(
      expect.objectContaining({
        message: 'plugin is not running',
        fields: expect.objectContaining({ code: 'exited', reason: '"it" ended with exit code 5' }),
      }),
    )
  })

  it('(dies-in-tenth-call) fails that call at once, says why, and is back', async () => {
    await using it = await openTestHost([await misbehaving('dies-in-tenth-call')])
    await it.host.settled()
    for (let n = 0; n < 9; n += 1) await it.host.filled('ipfilter')[0]?.api.check(here)
    const began = performance.now()
    await expect(it.host.filled('ipfilter')[0]?.api.check(here)).rejects.toMatchObject({ code: 'exited' })
    expect(performance.now() - began).toBeLessThan(500)
    await it.until(({ starts, state }) => starts === 2 && state === 'ready', 3000)
    expect(await it.host.filled('ipfilter')[0]?.api.check(here)).toEqual({ allowed: true })
  })

  it('(panics) has the lines of its panic in the log as errors', async () => {
    await using it = await openTestHost([await misbehaving('panics')], calm)
    await it.host.settled()
    await expect(it.host.filled('ipfilter')[0]?.api.check(here)).rejects.toMatchObject({ code: 'exited' })
    await it.until(({ state }) => state === 'waiting')
    const texts = it.log.entries.filter(
      ({ level, message }) => level === 'error' && message === 'plugin output',
    )
    expect(texts.map(({ fields }) => fields['text'])).toEqual([
      'panic: runtime error: index out of range',
      '',
      'goroutine 1 [running]:',
      'main.main()',
    ])
  })

  const quick = { healthEveryMs: 100, healthTimeoutMs: 400, memoryEveryMs: 50, callsEveryMs: 50 }

  it.each([
    ['hangs', /did not answer its health check within 0\.4 seconds/],
    ['hangs-with-health', /missed the deadline of its last 2 calls/],
    ['stops', /did not answer its health check/],
  ])('(%s) is found out and replaced', async (mode, says) => {
    const entry = await misbehaving(mode, { callTimeoutMs: 200 })
    // What its calls tell comes later than its health, unless that is well.
    const callsEveryMs = mode === 'hangs-with-health' ? 50 : 60_000
    const supervision = { ...quick, callsEveryMs }
    await using it = await openTestHost([entry], { pace: { firstRestartMs: 50, supervision } })
    await it.host.settled()
    const { pid } = it.status()
    const [filter] = it.host.filled('ipfilter')
    const calls = await Promise.allSettled([filter?.api.check(here), filter?.api.check(here)])
    expect(calls.map((call) => call.status)).toEqual(['rejected', 'rejected'])
    await it.until(({ starts, state }) => starts === 2 && state === 'ready', 5000)
    const reasons = it.log.entries.map(({ fields }) => fields['reason'])
    expect(reasons).toContainEqual(expect.stringMatching(says))
    expect(await isRunning(pid)).toBe(false)
  })

  it('(hangs) is found out within ten seconds at the usual pace', { timeout: 20_000 }, async () => {
    await using it = await openTestHost([await misbehaving('hangs')], calm)
    await it.host.settled()
    const began = performance.now()
    const call = it.host.filled('ipfilter')[0]?.api.check(here)
    await expect(call).rejects.toMatchObject({ code: expect.stringMatching(/deadline|hung/) })
    await it.until(({ state }) => state === 'waiting')
    expect(performance.now() - began).toBeLessThan(10_000)
    expect(it.status().reason?.code).toBe('hung')
  })

  it(
    '(hangs-with-health) is found out within ten seconds by one who asks call after call',
    { timeout: 20_000 },
    async () => {
      await using it = await openTestHost([await misbehaving('hangs-with-health')], calm)
      await it.host.settled()
      const began = performance.now()
      const ask = async () => it.host.ask('ipfilter', 'it').check(here)
      while (it.status().state === 'ready') await ask().catch(() => sleep(1))
      expect(performance.now() - began).toBeLessThan(10_000)
      expect(it.status().reason).toMatchObject({
        code: 'hung',
        message: expect.stringMatching(/answered no call for 9 seconds/),
      })
    },
  )

  it.skipIf(!linux)('(eats-memory) meets its limit and not ours', async () => {
    const entry = await misbehaving('eats-memory', { limits: { memoryBytes: 150 << 20 } })
    const before = process.memoryUsage().rss
    await using it = await openTestHost([entry], { pace: { firstRestartMs: 60_000, supervision: quick } })
    await it.until(({ state }) => state === 'waiting')
    expect(it.status().reason).toMatchObject({
      code: 'memory-limit',
      message: expect.stringMatching(/may hold 150 MiB/),
    })
    expect(process.memoryUsage().rss - before).toBeLessThan(100 << 20)
  })

  it('(gigabyte) slows only itself, and is bounded in our log', { timeout: 20_000 }, async () => {
    const entry = await misbehaving('gigabyte', { args: ['gigabyte', '1024'] })
    await using it = await openTestHost([entry])
    await it.host.settled()
    const began = performance.now()
    let answers = 0
    while (performance.now() - began < 3000) {
      expect(await it.host.filled('ipfilter')[0]?.api.check(here)).toEqual({ allowed: true })
      answers += 1
    }
    expect(answers).toBeGreaterThan(30)
    expect(it.host.recentOutput('it').length).toBeLessThanOrEqual(1000)
    expect(it.log.entries.length).toBeLessThan(20_000)
    expect(it.host.recentOutput('it').some(({ message }) => message === 'plugin output dropped')).toBe(true)
  })

  it.each([
    ['huge-reply', 'too-large'],
    ['malformed', 'malformed-reply'],
    ['not-json', 'malformed-reply'],
  ])('(%s) fails the call and goes on', async (mode, code) => {
    await using it = await openTestHost([await misbehaving(mode, { type: 'auth', scope: 1 })])
    await it.host.settled()
    const attempt = { username: 'ada', password: 'x', address: '127.0.0.1', protocol: 'SSH', user: {} }
    const [login] = it.host.filled('auth')
    await expect(login?.api.checkPassword?.(attempt)).rejects.toMatchObject({ code })
    await expect(login?.api.checkPassword?.(attempt)).rejects.toMatchObject({ code })
    expect(it.status()).toMatchObject({ state: 'ready', starts: 1 })
  })

  it.each(['', 'away'])('(forks %s) is noticed to end although a child keeps its pipes', async (how) => {
    await using it = await openTestHost([await misbehaving('forks', { args: ['forks', how] })])
    await it.host.settled()
    const { pid } = it.status()
    if (pid === undefined) throw new Error('It does not run')
    const began = performance.now()
    process.kill(pid, 'SIGKILL')
    await it.until(({ starts, state }) => starts === 2 && state === 'ready', 5000)
    expect(performance.now() - began).toBeLessThan(5000)
    expect(it.log.entries).toContainEqual(
      expect.objectContaining({
        fields: expect.objectContaining({ reason: '"it" ended by signal SIGKILL' }),
      }),
    )
  })
})

describe('stopping a plugin', () => {
  it.each([
    ['polite', 'shutdown', 1500],
    ['no-controller', 'SIGTERM', 1500],
    ['ignores-shutdown', 'SIGKILL', 6000],
    ['never-answers-shutdown', 'SIGTERM', 6000],
    ['hangs', 'shutdown', 8000],
  ])('(%s) ends through %s', async (mode, leftBy, withinMs) => {
    await using it = await openTestHost([await misbehaving(mode)])
    await it.host.settled()
    const { pid } = it.status()
    const began = performance.now()
    await it.host.close()
    expect(performance.now() - began).toBeLessThan(withinMs)
    expect(await isRunning(pid)).toBe(false)
    expect(it.log.entries).toContainEqual(
      expect.objectContaining({
        message: 'plugin stopped',
        fields: expect.objectContaining({ left_by: leftBy }),
      }),
    )
  })

  it('lets a call under way end, and takes no new ones', async () => {
    await using it = await openTestHost([await misbehaving('slow-calls', { args: ['slow-calls', '400'] })])
    await it.host.settled()
    const [filter] = it.host.filled('ipfilter')
    const call = filter?.api.check(here)
    await new Promise((resolve) => void setImmediate(resolve))
    const closing = it.host.close()
    await it.until(({ state }) => state === 'stopping')
    await expect(filter?.api.check(here)).rejects.toMatchObject({ code: 'stopped' })
    expect(await call).toEqual({ allowed: true })
    await closing
  })

  it.skipIf(!linux)('is final, however often it is restarted at the same time', async () => {
    const entry = await misbehaving('polite')
    await using it = await openTestHost([entry])
    await it.host.settled()
    const restarts = Array.from({ length: 4 }, () => it.host.restart('it'))
    await it.until(({ state }) => state !== 'ready')
    restarts.push(it.host.restart('it'))
    await it.host.close()
    await Promise.all(restarts)
    expect(await pluginProcesses()).toEqual([])
    expect(it.status().state).toBe('stopped')
  })

  it.skipIf(!linux)('leaves one process after many restarts at once', async () => {
    await using it = await openTestHost([await misbehaving('polite')])
    await it.host.settled()
    await Promise.all(Array.from({ length: 5 }, () => it.host.restart('it')))
    expect(it.status().state).toBe('ready')
    expect(await pluginProcesses()).toEqual([it.status().pid])
  })

  it.skipIf(!linux)('of a replaced plugin is final too', async () => {
    const entry = await misbehaving('polite')
    await using it = await openTestHost([entry])
    await it.host.settled()
    const replaced = it.host.reload([{ ...entry, callTimeoutMs: 1234 }])
    const restarted = it.host.restart('it')
    await Promise.all([replaced, restarted])
    expect(await pluginProcesses()).toEqual([it.status().pid])
  })

  it('stops a plugin that is just starting', async () => {
    await using it = await openTestHost([await misbehaving('silent')])
    await it.until(({ state, pid }) => state === 'starting' && pid !== undefined)
    const { pid } = it.status()
    await it.host.close()
    expect(await isRunning(pid)).toBe(false)
    expect(it.status().state).toBe('stopped')
  })
})

/** The head of a program for a processor that nobody has. */
function otherProcessor(): string {
  const head = Buffer.alloc(64)
  head.write('\u007fELF\u0002\u0001\u0001', 'latin1')
  head.writeUInt16LE(0xfefe, 18)
  return head.toString('latin1')
}
