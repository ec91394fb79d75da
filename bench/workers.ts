// What two workers carry beside one process: each server process gets the same slice of one core, so that the client,
// which has the rest of the machine, is not the limit. npm run bench workers [-- --share 20] [--seconds 6] [--rounds 3]
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from 'node:fs'
import { rmdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { median } from './harness/report.ts'
import { startOurs, type Target } from './harness/target.ts'

const { values } = parseArgs({
  options: {
    share: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '3' },
    save: { type: 'string' },
  },
})
const share = Number(values.share) / 100
const seconds = Number(values.seconds)
const rounds = Number(values.rounds)
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sftpgo-ts-workers-'))
const key = join(folder, 'key')
const cores = availableParallelism()
const works = ['logins', 'files of 4 KiB'] as const
const slices: Slice[] = []
const targets: (Target & { readonly workers: number })[] = []

try {
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  for (const workers of [1, 2]) {
    const own = join(folder, String(workers))
    mkdirSync(join(own, 'home'), { recursive: true })
    const place = { folder: own, home: join(own, 'home'), publicKey: `${key}.pub`, top: resolve('.') }
    const target = await startOurs({ ...place, features: false, workers })
    targets.push({ ...target, workers })
    for (const [index, pid] of processesOf(target.pid, workers).entries()) slices.push(limit(pid, index))
  }
  const rates = new Map<string, number[]>()
  const clients: number[] = []
  for (let round = 0; round < rounds; round += 1)
    for (const work of works)
      for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
        process.stderr.write(`round ${round + 1} of ${rounds}: ${work} with ${target.workers}\n`)
        const { rate, clientCores } = await load(work, target)
        clients.push(clientCores)
        rates.set(`${work} ${target.workers}`, [...(rates.get(`${work} ${target.workers}`) ?? []), rate])
      }
  const lines = works.map((work) => {
    const [one = [], two = []] = [rates.get(`${work} 1`), rates.get(`${work} 2`)]
    const [a, b] = [median(one), median(two)]
    return `${work}: ${a.toFixed(0)}/s in one process, ${b.toFixed(0)}/s with two workers, ${(b / a).toFixed(2)} times`
  })
  const busiest = Math.max(...clients)
  lines.push(
    `each server process has ${values.share} % of a core; the clients took ${busiest.toFixed(2)} of ${cores} at most`,
  )
  process.stdout.write(`${lines.join('\n')}\n`)
  if (values.save !== undefined)
    writeFileSync(
      values.save,
      `${JSON.stringify({ share, seconds, rates: Object.fromEntries(rates), lines }, null, 1)}\n`,
    )
} finally {
  for (const target of targets) await target.close()
  for (const slice of slices) slice.close()
  rmSync(folder, { recursive: true, force: true })
}

/**
 * Two clients work on a server for a while, with so many lanes that requests wait for every process: with few of them
 * a process that has just used up its slice leaves the clients with nothing to do.
 */
async function load(
  work: (typeof works)[number],
  { port }: Target,
): Promise<{ readonly rate: number; readonly clientCores: number }> {
  const what = work === 'logins' ? 'logins' : 'files'
  const program = new URL('./workers/load.js', import.meta.url)
  const clients = [1, 2].map(() => fork(program, [what, String(port), key, '32', String(seconds)]))
  await Promise.all(clients.map((client) => heard(client)))
  const results = clients.map((client) => heard(client))
  for (const client of clients) client.send('go')
  // What a client sends at its end has this form.
  const done = (await Promise.all(results)) as { done: number; cpu: number }[]
  return {
    rate: done.reduce((sum, one) => sum + one.done, 0) / seconds,
    clientCores: done.reduce((sum, one) => sum + one.cpu, 0) / (seconds + 1),
  }
}

function heard(client: ChildProcess): Promise<unknown> {
  return new Promise((settle, reject) => {
    client.once('message', settle)
    client.once('exit', (code) => reject(new Error(`A client ended with ${code}`)))
  })
}

/** Those that speak SSH, then the one that decides for them. */
function processesOf(pid: number, workers: number): readonly number[] {
  if (workers === 1) return [pid]
  const children = readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false
    try {
      const parent = /PPid:\s+(\d+)/.exec(readFileSync(`/proc/${entry}/status`, 'utf8'))?.[1]
      return parent === String(pid) && readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes('worker-main')
    } catch {
      return false // it has just ended
    }
  })
  if (children.length !== workers) throw new Error(`${children.length} workers run, not ${workers}`)
  return [...children.map(Number), pid]
}

interface Slice {
  close(): void
}

/** Gives a process its slice of one core, and pins it to one. */
function limit(pid: number, index: number): Slice {
  spawnSync('taskset', ['-a', '-p', '-c', String(index % cores), String(pid)])
  const period = 10_000
  for (const [root, file, text] of [
    ['/sys/fs/cgroup/cpu', 'cpu.cfs_quota_us', `${Math.round(share * period)}`],
    ['/sys/fs/cgroup', 'cpu.max', `${Math.round(share * period)} ${period}`],
  ] as const) {
    const group = join(root, `sftpgo-ts-workers-${process.pid}-${pid}`)
    try {
      mkdirSync(group)
      if (file === 'cpu.cfs_quota_us') writeFileSync(join(group, 'cpu.cfs_period_us'), String(period))
      writeFileSync(join(group, file), text)
      appendFileSync(join(group, 'cgroup.procs'), String(pid))
      return { close: () => removeGroup(group) }
    } catch {
      removeGroup(group)
    }
  }
  throw new Error('Processes cannot be limited here: no control group for CPU time can be made')
}

function removeGroup(group: string): void {
  try {
    rmdirSync(group)
  } catch {
    // It was never made, or its last process is just ending.
  }
}
