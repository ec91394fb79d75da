// What a call to a plugin costs without the host around it: npm run bench -- channel [--seconds 2]
// Two processes on one machine, mutual TLS over a Unix socket, the smallest auth question.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connectSlot } from '../src/slots/index.ts'
import type { PasswordAttempt } from '../src/slots/auth/contract.ts'
import { meterProcess } from './harness/cpu-meter.ts'
import { buildPlugin, startPlugin, type PluginProcess } from '../test/helpers/plugin-process.ts'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '2' } } })
const windowMs = Number(values.seconds) * 1_000
const top = process.cwd()
const attempt: PasswordAttempt = {
  ...{
    username: 'ada',
    password: 'x',
    address: '192.0.2.7',
    protocol: 'SSH',
    user: { id: 0, username: 'ada' },
  },
}

console.log(`Node ${process.version}`)
using built = await buildPlugin('quick', join(top, 'test/fixtures/plugins'))
await measure('Node plugin', { command: [process.execPath, built.file] })
const go = buildGoPlugin()
if (go === undefined) console.log('Go plugin: skipped, Go is not installed or its modules are not here')
else {
  await measure('Go plugin', { command: [go.file] })
  rmSync(go.folder, { recursive: true })
}

async function measure(name: string, options: { readonly command: readonly string[] }): Promise<void> {
  const starts: number[] = []
  for (let round = 0; round < 7; round++) {
    const begin = performance.now()
    await using plugin = await startPlugin('', options)
    await (await plugin.connect()).close()
    starts.push(performance.now() - begin)
  }
  console.log(
    `${name}: start to first answer ${shown(quantile(starts, 0.5))} ms (least ${shown(Math.min(...starts))})`,
  )
  await using plugin = await startPlugin('', options)
  for (const inFlight of [1, 16, 64]) await calls(name, plugin, inFlight)
}

async function calls(name: string, plugin: PluginProcess, inFlight: number): Promise<void> {
  const channel = await plugin.connect()
  const api = connectSlot('auth', channel, { timeoutMs: 20_000 })
  const rates: number[] = []
  const medians: number[] = []
  const tails: number[] = []
  const cpu: number[] = []
  const theirs: number[] = []
  const meter = meterProcess(plugin.child.pid ?? 0, `plugin-${inFlight}`)
  for (let round = 0; round < 4; round++) {
    const times: number[] = []
    const begin = performance.now()
    const before = process.cpuUsage()
    const theirsBefore = meter.seconds().all
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (performance.now() - begin < windowMs) {
          const asked = performance.now()
          await api.checkPassword(attempt)
          times.push(performance.now() - asked)
        }
      }),
    )
    const used = process.cpuUsage(before)
    // The first round warms both sides up.
    if (round === 0) continue
    rates.push((times.length * 1_000) / (performance.now() - begin))
    medians.push(quantile(times, 0.5))
    tails.push(quantile(times, 0.99))
    cpu.push((used.user + used.system) / times.length)
    theirs.push(((meter.seconds().all - theirsBefore) * 1e6) / times.length)
  }
  meter.close()
  await channel.close()
  console.log(
    `${name}: ${inFlight} in flight: ${Math.round(Math.max(...rates))} calls/s at best, ` +
      `p50 ${shown(Math.min(...medians))} ms, p99 ${shown(Math.min(...tails))} ms, ` +
      `${Math.round(Math.min(...cpu))} µs of our CPU each, ${Math.round(Math.min(...theirs))} µs of the plugin's`,
  )
}

function buildGoPlugin(): { readonly folder: string; readonly file: string } | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-bench-'))
  const made = spawnSync('go', ['build', '-trimpath', '-o', `${folder}/`, './auth'], {
    cwd: join(top, 'test/interop/plugins/go'),
  })
  if (made.status === 0) return { folder, file: join(folder, 'auth') }
  rmSync(folder, { recursive: true })
  return undefined
}

function quantile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(at * (sorted.length - 1))] ?? Number.NaN
}

function shown(value: number): string {
  return value.toFixed(value < 10 ? 2 : 0)
}
