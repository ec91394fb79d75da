// What the plugin wing costs: starts, calls, log lines and memory.
// npm run bench plugins [-- --quick] [--node-only] [--save FILE]
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { silentLogger } from '../src/base/log.ts'
import { digestOf } from '../src/host/checksum.ts'
import { openPluginHost, type PluginHost } from '../src/host/host.ts'
import { createOutputReader } from '../src/host/output.ts'
import type { PluginEntry } from '../src/host/plugin-entry.ts'
import { createPluginLog } from '../src/host/plugin-log.ts'
import { slots } from '../src/slots/index.ts'
import { createIdentity } from '../src/wire/certificate.ts'
import { announcementVariables } from '../src/wire/environment.ts'
import { median } from './harness/report.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    'node-only': { type: 'boolean', default: false },
    save: { type: 'string' },
  },
})
const starts = values.quick ? 5 : 15
const calls = values.quick ? 3000 : 20_000
const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-bench-'))
const rows: string[][] = [['what', 'measured', 'goal', 'met']]

try {
  const nodeEntry = await nodePlugin()
  const goEntry = values['node-only'] ? undefined : goPlugin()
  await measureStarts('Node plugin, start to ready', nodeEntry, 350, 0)
  if (goEntry !== undefined) {
    const own = await ownStartMs(goEntry)
    await measureStarts(`Go plugin, start to ready, over its own ${own.toFixed(0)} ms`, goEntry, 100, own)
  }
  await measureCalls('Node plugin', nodeEntry)
  if (goEntry !== undefined) await measureCalls('Go plugin', goEntry)
  measureParsing()
  await measureLines(nodeEntry)
  await measureMemory(goEntry ?? nodeEntry)
  print()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function nodePlugin(): Promise<PluginEntry> {
  const { outputFiles } = await build({
    entryPoints: ['bench/plugins/filter.ts'],
    ...({ bundle: true, write: false, minify: true, platform: 'node', format: 'esm' } as const),
    banner: {
      js: "import { createRequire as make } from 'node:module'; const require = make(process.execPath);",
    },
  })
  const cmd = join(folder, 'filter.mjs')
  const bytes = Buffer.from(outputFiles[0]?.contents ?? [])
  writeFileSync(cmd, bytes)
  return entryOf(cmd, digestOf(bytes))
}

function goPlugin(): PluginEntry | undefined {
  const cmd = join(folder, 'go-filter')
  const built = spawnSync('go', ['build', '-trimpath', '-o', cmd, './ipfilter'], {
    cwd: 'test/interop/plugins/go',
    encoding: 'utf8',
  })
  if (built.status === 0) return entryOf(cmd, digestOf(readFileSync(cmd)))
  process.stderr.write(`Without a Go plugin: ${built.error?.message ?? built.stderr}\n`)
  return undefined
}

function entryOf(cmd: string, sha256sum: string): PluginEntry {
  return { name: 'bench', type: 'ipfilter', cmd, sha256sum, args: [], envPrefix: 'none', logLevel: 'error' }
}

function openHost(entries: readonly PluginEntry[]): Promise<PluginHost> {
  return openPluginHost({ entries, log: silentLogger, stateFolder: join(folder, 'state') })
}

/** How long the program takes to print its first line when nobody verifies or watches it. */
async function ownStartMs({ cmd }: PluginEntry): Promise<number> {
  const times: number[] = []
  const { certificatePem: clientCertificatePem } = await createIdentity()
  for (let n = 0; n < starts; n += 1) {
    const began = performance.now()
    const child = spawn(cmd, [], {
      env: announcementVariables({ cookie: slots.ipfilter.cookie, versions: [1], clientCertificatePem }),
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    times.push(performance.now() - began)
    child.kill('SIGKILL')
  }
  return median(times)
}

async function measureStarts(title: string, entry: PluginEntry, goalMs: number, own: number): Promise<void> {
  const times: number[] = []
  await using host = await openHost([entry])
  await host.settled()
  for (let n = 0; n < starts; n += 1) {
    await host.reload([])
    const began = performance.now()
    const { problems } = await host.reload([entry])
    if (problems.length > 0) throw problems[0]?.reason
    times.push(performance.now() - began)
  }
  row(title, median(times) - own, 'ms', goalMs, 'at most')
}

async function measureCalls(title: string, entry: PluginEntry): Promise<void> {
  await using host = await openHost([entry])
  await host.settled()
  const api = host.ask('ipfilter', entry.name)
  const question = { address: '192.0.2.1', protocol: 'SSH' }
  for (let n = 0; n < 2000; n += 1) await api.check(question)
  const times: number[] = []
  for (let n = 0; n < calls / 4; n += 1) {
    const began = performance.now()
    await api.check(question)
    times.push(performance.now() - began)
  }
  const slow = Number(process.versions.node.split('.')[0]) < 24
  row(`${title}, one call at a time, p50`, median(times), 'ms', slow ? 0.7 : 0.5, 'at most')
  const rates: number[] = []
  for (let round = 0; round < 3; round += 1) {
    const began = performance.now()
    let left = calls
    const worker = async (): Promise<void> => {
      while (left-- > 0) await api.check(question)
    }
    await Promise.all(Array.from({ length: 16 }, worker))
    rates.push(calls / ((performance.now() - began) / 1000))
  }
  row(`${title}, 16 calls at once`, median(rates), 'calls/s', slow ? 4500 : 6000, 'at least')
}

/** What the host could write down of one plugin, were there no limit. */
function measureParsing(): void {
  const log = createPluginLog(() => 'info', silentLogger)
  const reader = createOutputReader((record) => log.add(record), {
    recordsPerSecond: 1e9,
    bytesPerSecond: 1e12,
  })
  const line =
    '{"@level":"info","@message":"a line","@module":"ldap","@timestamp":"2026-01-02T03:04:05.123456Z","n":1}\n'
  const chunk = Buffer.from(line.repeat(500))
  const began = performance.now()
  for (let n = 0; n < 200; n += 1) reader.take(chunk, 'stderr')
  row('log lines parsed, one core', (200 * 500) / ((performance.now() - began) / 1000), 'lines/s')
}

async function measureLines(entry: PluginEntry): Promise<void> {
  const lines = 200_000
  await using host = await openHost([{ ...entry, args: [String(lines)] }])
  await host.settled()
  const before = process.cpuUsage()
  const began = performance.now()
  await new Promise((resolve) => void setTimeout(resolve, 3000))
  const { user, system } = process.cpuUsage(before)
  const share = ((user + system) / 1000 / (performance.now() - began)) * 100
  row('a plugin that prints as fast as it can: our CPU', share, '%')
  const api = host.ask('ipfilter', entry.name)
  const times: number[] = []
  for (let n = 0; n < 500; n += 1) {
    const asked = performance.now()
    await api.check({ address: '192.0.2.1', protocol: 'SSH' })
    times.push(performance.now() - asked)
  }
  row('a call to it meanwhile, p50', median(times), 'ms')
}

async function measureMemory(entry: PluginEntry): Promise<void> {
  const many = values.quick ? 5 : 20
  const names = Array.from({ length: many }, (_, n) => ({ ...entry, name: `bench-${n}` }))
  await using host = await openHost([{ ...entry, name: 'first' }])
  await host.settled()
  const before = await settledBytes()
  await host.reload([{ ...entry, name: 'first' }, ...names])
  const after = await settledBytes()
  row('memory in the host per idle plugin', (after - before) / many / 1024 / 1024, 'MiB', 3, 'at most')
}

/** Resident memory once what can be freed is freed. */
async function settledBytes(): Promise<number> {
  for (let n = 0; n < 3; n += 1) {
    globalThis.gc?.()
    await new Promise((resolve) => void setTimeout(resolve, 300))
  }
  return process.memoryUsage().rss
}

function row(what: string, value: number, unit: string, goal?: number, how?: 'at most' | 'at least'): void {
  const met = goal === undefined ? '' : (how === 'at most' ? value <= goal : value >= goal) ? 'yes' : 'NO'
  const text = value >= 100 ? value.toFixed(0) : value.toPrecision(3)
  rows.push([what, `${text} ${unit}`, goal === undefined ? '' : `${how} ${goal}`, met])
  process.stderr.write(`${what}: ${text} ${unit}\n`)
}

function print(): void {
  const lines = rows.map((cells) => `| ${cells.join(' | ')} |`)
  lines.splice(1, 0, '|---|---|---|---|')
  const text = `Node ${process.versions.node}, ${process.platform} ${process.arch}\n\n${lines.join('\n')}\n`
  process.stdout.write(text)
  if (values.save !== undefined) writeFileSync(values.save, text)
}
