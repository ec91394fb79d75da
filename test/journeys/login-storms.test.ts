import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer as createTcpServer, connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client, type SFTPWrapper } from 'ssh2'
import { describe, expect, it } from 'vitest'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { bundleProgram } from '../helpers/program.ts'
import { runCommand, startServerProcess, type ServerProcess } from '../helpers/server-process.ts'
import { recordFigure } from '../helpers/soak-figures.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import type { StormReport } from './programs/connection-storm.ts'

/** `npm run soak -- logins` sets this to 1: five minutes each. The default is a small part of them. */
const share = Number(process.env['SFTPGO_TS_LOGIN_STORMS'] ?? 0)
const minute = 60_000
const forMs = Math.max(5_000, 5 * minute * share)
const rampMs = share > 0 ? 15_000 : 3_000
/** A whole proof wants the machine for itself; a short one shares it with other tests, which its times and bounds show. */
const size =
  share > 0
    ? { rate: 200, p50: 10, p99: 50, grownMiB: 24, connections: 500, withinMs: 5_000, calls: 64, queue: 256 }
    : { rate: 40, p50: 100, p99: 1_000, grownMiB: 64, connections: 40, withinMs: 20_000, calls: 2, queue: 4 }
const { rate } = size
const timeout = share > 0 ? 10 * minute : 60_000
const linux = process.platform === 'linux'

describe.skipIf(!linux)(`${rate} logins a second (needs Linux)`, { timeout }, () => {
  it('with wrong passwords leave sessions alone', async () => {
    using place = preparePlace({})
    await using server = await startCollected(place.config)
    const figures = await measureFlood(server, place.key)
    if (share > 0) expect(figures.refusals.length / (figures.tookMs / 1000)).toBeGreaterThan(0.95 * rate)
    recordFlood(`${rate} wrong passwords a second`, figures)
  })

  it.each([500, 10_000])(
    'hold no more than its bounds of a plugin that answers in %i ms, and the others hear at once (F-9)',
    async (answerMs) => {
      const { cmd, sha256sum } = await fixturePlugin()
      const limits = { calls: size.calls, queue: size.queue }
      const callTimeoutMs = 20_000
      const plugin = {
        ...{ name: 'ldap', type: 'auth', cmd, sha256sum, args: ['slow-calls', String(answerMs)] },
        ...{ auth_options: { scope: 1 }, call_timeout: `${callTimeoutMs}ms`, limits },
      }
      const metricsPort = await freePort()
      using place = preparePlace({ plugins: [plugin], telemetry: { bind_port: metricsPort } })
      await using server = await startCollected(place.config)
      const figures = await measureFlood(server, place.key)
      const calls = await callsByOutcome(metricsPort)
      expect(calls.get('overloaded') ?? 0).toBeGreaterThan(0)
      const asked = [...calls].reduce((sum, [code, count]) => sum + (code === 'overloaded' ? 0 : count), 0)
      // Who hears late was asked about, or stood in line for all the time that a call may take.
      const late = figures.all.filter((ms) => ms >= 1000)
      const vain = late.filter((ms) => ms >= callTimeoutMs).length
      expect(late.length - vain).toBeLessThanOrEqual(asked + limits.calls + limits.queue)
      expect(late.filter((ms) => ms < answerMs)).toEqual([])
      expect(server.log()).not.toContain('could not be decided')
      recordFlood(
        `F-9 ${rate} a second, a plugin answering in ${answerMs} ms (${calls.get('overloaded')} refused for it, ${asked} asked)`,
        figures,
      )
    },
  )
})

describe.skipIf(!linux)('a storm of connections (F-30) (needs Linux)', { timeout }, () => {
  it('lets guests in meanwhile, and bans those who deserve it', async () => {
    using place = preparePlace({ common: { idle_timeout: 0, defender: { enabled: true } } })
    await using server = await startCollected(place.config)
    const { connections, withinMs } = size
    using memory = watchMemory(server)
    const storm = fork(await bundleProgram('test/journeys/programs/connection-storm.ts'), [
      ...[String(server.port), String(connections), String(forMs), place.keyFile],
    ])
    const [report] = (await once(storm, 'message')) as [StormReport] // our own program's last word
    const inTime =
      report.guestsMs.filter((ms) => ms !== null && ms < withinMs).length / report.guestsMs.length
    expect(inTime).toBeGreaterThanOrEqual(0.95)
    const known = JSON.parse(
      runCommand(['ban', 'list', '--json', '--config', place.config]).stdout,
    ) as readonly { readonly address: string; readonly bannedUntil?: number }[]
    expect(known.filter(({ address }) => !address.startsWith('127.0.2.'))).toEqual([])
    expect(known.length).toBeLessThanOrEqual(45)
    const banned = known.filter(({ bannedUntil }) => bannedUntil !== undefined).length
    // Each bans itself by its eighth refusal, and the first comes after a second or more.
    if (forMs >= minute) expect(banned).toBe(45)
    const { grownMiB, mostMiB } = memory.seen()
    expect(grownMiB).toBeLessThan(size.grownMiB)
    // What it takes at once is kept by the collector: docs/decisions/062-memory-in-a-storm.md.
    expect(mostMiB).toBeLessThan(384)
    const slowest = Math.round(Math.max(...report.guestsMs.map((ms) => ms ?? Infinity)))
    recordFigure(
      `F-30 ${connections} connections a second for ${forMs / 1000} s from 50 addresses, one in ten valid`,
      `${(inTime * 100).toFixed(1)} % of ${report.guestsMs.length} guests in, the slowest after ${slowest} ms; ${banned} of 45 offenders banned, no guest; ${mostMiB.toFixed(0)} MiB RSS at most, ${grownMiB.toFixed(0)} MiB grown in the second half`,
      `95 % within ${withinMs / 1000} s; nobody else banned; 384 MiB, ${size.grownMiB} MiB`,
    )
  })
})

interface Flood {
  /** Milliseconds of refusals: of the whole flood, and of the time that was measured. */
  readonly all: readonly number[]
  readonly refusals: readonly number[]
  readonly tookMs: number
  readonly stat: { readonly p50: number; readonly p99: number; readonly bound: number }
  /** What the process grew from the middle of the time to its end. */
  readonly grownMiB: number
}

/** A session's STATs before and during a flood; fails where the flood is felt, or memory goes on growing. */
async function measureFlood(server: ServerProcess, key: Buffer): Promise<Flood> {
  const client = await enter(server.port, key)
  const sftp = await new Promise<SFTPWrapper>((resolve, reject) => {
    client.sftp((error, channel) => (error === undefined ? resolve(channel) : reject(error)))
  })
  const base = await statTimes(sftp, 2_000)
  const flood = fork(await bundleProgram('bench/logins/flood.ts'), [...[String(server.port), String(rate)]])
  const all: number[] = []
  flood.on('message', (ms: number) => void all.push(ms))
  await delay(rampMs)
  const [from, since] = [all.length, performance.now()]
  using memory = watchMemory(server)
  const times = await statTimes(sftp, forMs)
  const [heard, tookMs] = [all.length, performance.now() - since]
  const { grownMiB } = memory.seen()
  flood.kill('SIGKILL')
  client.end()
  const bound = Math.max(size.p99, 2 * quantile(base, 0.99))
  const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)]
  expect(p50).toBeLessThan(size.p50)
  expect(p99).toBeLessThan(bound)
  expect(grownMiB).toBeLessThan(size.grownMiB)
  return { all, refusals: all.slice(from, heard), tookMs, stat: { p50, p99, bound }, grownMiB }
}

function recordFlood(proof: string, { refusals, tookMs, stat, grownMiB }: Flood): void {
  recordFigure(
    proof,
    `${(refusals.length / (tookMs / 1000)).toFixed(0)} refused a second for ${Math.round(tookMs / 1000)} s; STAT p50 ${stat.p50.toFixed(1)} ms, p99 ${stat.p99.toFixed(1)} ms; ${grownMiB.toFixed(0)} MiB grown in the second half`,
    `p50 ${size.p50} ms, p99 ${stat.bound.toFixed(0)} ms; ${size.grownMiB} MiB`,
  )
}

/** A server whose memory says what it keeps, not what its collector has not looked at yet. */
function startCollected(config: string): Promise<ServerProcess> {
  const collect = join(import.meta.dirname, 'programs/collect-garbage.cjs')
  return startServerProcess(config, { env: { NODE_OPTIONS: `--require ${collect}` } })
}

/** A configuration with one user, "guest", who has a key. */
function preparePlace(settings: object): Disposable & {
  readonly config: string
  readonly key: Buffer
  readonly keyFile: string
} {
  const folder = temporaryDirectory()
  const config = folder.file('sftpgo.config.json')
  const common = { max_per_host_connections: 0, idle_timeout: 0 }
  const sftpd = { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] }
  writeFileSync(config, JSON.stringify({ sftpd, common, log: { level: 'error' }, ...settings }))
  const keyFile = folder.file('key')
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
  const made = runCommand(
    ['user', 'add', 'guest', '--no-password', '--key', `${keyFile}.pub`].concat('--config', config),
  )
  expect(made.stderr).toBe('')
  return {
    ...{ config, keyFile, key: readFileSync(keyFile) },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

async function enter(port: number, privateKey: Buffer): Promise<Client> {
  const client = new Client()
  const sock = connect({ host: '127.0.0.1', port, noDelay: true })
  client.connect({ sock, username: 'guest', privateKey })
  await once(client, 'ready')
  client.on('error', () => {})
  return client
}

async function statTimes(sftp: SFTPWrapper, ms: number): Promise<number[]> {
  const times: number[] = []
  for (const end = performance.now() + ms; performance.now() < end; await delay(10)) {
    const since = performance.now()
    await new Promise<void>((resolve, reject) => {
      sftp.stat('/', (error) => (error === undefined || error === null ? resolve() : reject(error)))
    })
    times.push(performance.now() - since)
  }
  return times
}

/** How the calls to plugins ended so far, as the metrics tell it. */
async function callsByOutcome(port: number): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const rows = text.matchAll(/^sftpgo_plugin_calls_total\{.*?outcome="([^"]+)".*?\} (\d+)$/gm)
  return new Map([...rows].map(([, outcome = '', count]) => [outcome, Number(count)]))
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // it listens on TCP
  server.close()
  return port
}

/**
 * Watches what a process holds. `grownMiB` compares the least of the last quarter with the least of the second: collections
 * come and go, and each hash takes 64 MiB for as long as it is computed.
 */
function watchMemory(
  server: ServerProcess,
): Disposable & { seen(): { readonly grownMiB: number; readonly mostMiB: number } } {
  const samples: number[] = []
  const timer = setInterval(() => void samples.push(residentMiB(server)), 100)
  const leastOfQuarter = (quarter: number): number => {
    const [from, to] = [quarter, quarter + 1].map((n) => Math.floor((samples.length * n) / 4))
    return Math.min(...samples.slice(from, to))
  }
  return {
    seen: () => ({ grownMiB: leastOfQuarter(3) - leastOfQuarter(1), mostMiB: Math.max(...samples) }),
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

function residentMiB({ process: { pid } }: ServerProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

function quantile(times: readonly number[], part: number): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * part)] ?? 0
}
