// Our server beside sshd (and SFTPGo when SFTPGO_BINARY names one): the same work in turn, several rounds, medians and ratios.
// npm run bench -- [--quick] [--rounds N] [--only NAME,NAME] [--node PATH] [--plain] [--save NAME] [--docs]
// npm run bench -- --from FILE [--docs]      # what an earlier run measured, told again
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Client } from './harness/client.ts'
import { meterProcess } from './harness/cpu-meter.ts'
import { keepResult, readResult, writeDocs } from './harness/keep.ts'
import { nodeOf, priceTable, table, type BenchResult, type Row, type Sample } from './harness/report.ts'
import { startOurs, startSftpgo, startSshd, type Target } from './harness/target.ts'
import {
  fullScale,
  machineFloor,
  machineName,
  quickScale,
  workloads,
  type Workload,
} from './harness/workload.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    node: { type: 'string' },
    plain: { type: 'boolean', default: false },
    save: { type: 'string' },
    from: { type: 'string' },
    docs: { type: 'boolean', default: false },
  },
})
const scale = values.quick ? quickScale : fullScale
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
const top = resolve('.')

report(values.from === undefined ? await measureInFolder() : readResult(values.from))

async function measureInFolder(): Promise<BenchResult> {
  // Memory-backed where there is such a place: the disk is not what is compared.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sftpgo-ts-bench-'))
  const targets: Target[] = []
  try {
    return await measureAll(folder, targets)
  } finally {
    for (const target of targets) await target.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Starts the servers, which it leaves to its caller in `targets`, and has each do everything. */
async function measureAll(folder: string, targets: Target[]): Promise<BenchResult> {
  const client: Client = { key: join(folder, 'key'), folder: join(folder, 'client') }
  mkdirSync(client.folder)
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', client.key])
  const absent = await startTargets(folder, `${client.key}.pub`, targets)
  const work = workloads(client, scale).filter(
    ({ name }) => values.only === undefined || values.only.split(',').includes(name),
  )
  const rows = await measure(work, targets)
  const floor = await machineFloor(client, scale)
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: machineName(),
    cores: availableParallelism(),
    ...{ rounds, quick: values.quick, floor, rows, absent },
    targets: targets.map(({ name, version }) => ({ name, version })),
  }
}

async function startTargets(folder: string, publicKey: string, targets: Target[]): Promise<string[]> {
  const absent: string[] = []
  const place = (name: string): { folder: string; home: string; publicKey: string } => {
    const own = join(folder, name)
    mkdirSync(join(own, 'home'), { recursive: true })
    return { folder: own, home: join(own, 'home'), publicKey }
  }
  const node = values.node === undefined ? {} : { node: values.node }
  if (!values.plain) targets.push(await startOurs({ ...place('ours'), ...node, features: true, top }))
  // Without notifier and auth plugin beside it, so that their price is seen.
  targets.push(await startOurs({ ...place('ours-plain'), ...node, features: false, top }))
  for (const peer of [await startSshd(place('sshd')), await startSftpgo(place('sftpgo'))]) {
    if (typeof peer === 'string') absent.push(peer)
    else targets.push(peer)
  }
  for (const reason of absent) process.stderr.write(`not compared: ${reason}\n`)
  return absent
}

async function measure(work: readonly Workload[], targets: readonly Target[]): Promise<Row[]> {
  const samples = new Map<string, Record<string, Sample[]>>(work.map(({ name }) => [name, {}]))
  const started = performance.now()
  const total = rounds * work.length * targets.length
  let done = 0
  for (let round = 0; round < rounds; round += 1) {
    for (const item of work) {
      // The order changes from round to round, so that nobody always runs first.
      const order = round % 2 === 0 ? targets : targets.toReversed()
      for (const target of order) {
        progress(`round ${round + 1}/${rounds} ${item.title} at ${target.name}`, done / total, started)
        const kept = samples.get(item.name)
        if (kept !== undefined) (kept[target.name] ??= []).push(await once(item, target))
        done += 1
      }
    }
  }
  process.stderr.write('\n')
  return work.map(({ name, title, unit, goal, pluginGoal }) => ({
    ...{ name, title, unit, samples: samples.get(name) ?? {} },
    ...(goal === undefined ? {} : { goal }),
    ...(pluginGoal === undefined ? {} : { pluginGoal }),
  }))
}

async function once(item: Workload, target: Target): Promise<Sample> {
  await item.prepare?.(target)
  const meter = meterProcess(target.pid, target.name)
  const begun = performance.now()
  const value = await item.run(target)
  const wall = (performance.now() - begun) / 1000
  // Sessions end a moment after their client; their last work belongs to the sample.
  await new Promise((resolve) => setTimeout(resolve, 150))
  const { all, kernel } = meter.seconds()
  meter.close()
  return typeof value === 'number' ? { cpu: value, wall: 0 } : { cpu: all, kernel, wall }
}

function progress(what: string, share: number, started: number): void {
  const passed = (performance.now() - started) / 1000
  const left = share > 0.02 ? `${Math.round((passed / share) * (1 - share))} s left` : ''
  const line = `${Math.round(share * 100)} % ${what} ${left}`
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`)
}

function report(result: BenchResult): void {
  const ours = result.targets[0]?.name ?? 'ours'
  const price = priceTable(result)
  process.stdout.write(`${table(result, ours, 'sshd')}\n\n`)
  if (price !== undefined) process.stdout.write(`what the plugins cost:\n\n${price}\n\n`)
  process.stdout.write('floor of this machine, CPU seconds: ')
  process.stdout.write(`${result.floor.map(({ name, cpu }) => `${name} ${cpu}`).join(', ')}\n`)
  const node = nodeOf(result, ours) ?? Number(process.versions.node.split('.')[0])
  const name = values.save ?? `${result.date}-node${node}${result.quick ? '-quick' : ''}`
  keepResult(join(top, 'bench/results'), name, result)
  process.stdout.write(`kept in bench/results/${name}.json, .svg and, figure by figure, ${name}/\n`)
  if (values.docs) writeDocs(join(top, 'docs/performance.md'), { name, node, result })
}
