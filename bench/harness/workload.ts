import { spawn } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { login, sftp, type Client } from './client.ts'
import { memoryOf } from './cpu-meter.ts'
import { loginMilliseconds, openIdleSessions, statRoundTrips } from './session-client.ts'
import type { Target } from './target.ts'

/** One piece of work that every target does in turn. */
export interface Workload {
  readonly name: string
  readonly title: string
  /** What is counted: processor and wall time of `run`, or the number that `run` returns, in `unit`. */
  readonly measures: 'time' | 'value'
  readonly unit: string
  /** Our CPU over sshd's, at most, or our value; from the performance goals. */
  readonly goal?: number
  /** Our CPU with events and an auth plugin over that without, at most. */
  readonly pluginGoal?: number
  /** Does the work once. What is prepared here is not counted when it happens in `prepare`. */
  run(target: Target): Promise<number | void>
  prepare?(target: Target): Promise<void> | void
}

/** How much work a run does. */
export interface Scale {
  readonly bulkMiB: number
  readonly smallFiles: number
  readonly listed: number
  readonly parallel: number
  readonly parallelMiB: number
  readonly logins: number
  readonly idle: number
  readonly stats: number
}

export const fullScale: Scale = {
  ...{ bulkMiB: 1024, smallFiles: 2000, listed: 10_000, parallel: 16, parallelMiB: 64 },
  ...{ logins: 50, idle: 1000, stats: 5000 },
}

export const quickScale: Scale = {
  ...{ bulkMiB: 256, smallFiles: 500, listed: 10_000, parallel: 8, parallelMiB: 16 },
  ...{ logins: 16, idle: 200, stats: 2000 },
}

const ciphers = [
  { name: 'gcm', options: ['-c', 'aes128-gcm@openssh.com'], up: 0.45, down: 0.6 },
  { name: 'chacha', options: ['-c', 'chacha20-poly1305@openssh.com'], up: 0.55, down: 0.65 },
  {
    name: 'ctr',
    options: ['-c', 'aes256-ctr', '-o', 'MACs=hmac-sha2-256-etm@openssh.com'],
    up: 0.65,
    down: 0.75,
  },
] as const

/** Every piece of work, in the order in which it runs. */
export function workloads(client: Client, scale: Scale): Workload[] {
  const big = join(client.folder, 'big')
  const many = join(client.folder, 'many')
  makeFile(big, scale.bulkMiB)
  mkdirSync(many, { recursive: true })
  for (let i = 0; i < scale.smallFiles; i += 1) makeFile(join(many, `file-${i}`), 4 / 1024)
  return [
    ...ciphers.flatMap((cipher) => bulk(client, scale, big, cipher)),
    putSmall(client, scale, many),
    getSmall(client, scale),
    listLong(client, scale),
    ...parallel(client, scale),
    sequentialLogins(client, scale),
    parallelLogins(client, scale),
    oneLogin(client, scale),
    ...[1, 64].map((inFlight) => statWork(client, scale, inFlight)),
    idleSessions(client, scale),
  ]
}

function bulk(client: Client, scale: Scale, big: string, cipher: (typeof ciphers)[number]): Workload[] {
  const size = `${scale.bulkMiB} MiB`
  const back = join(client.folder, 'back')
  return [
    {
      ...{
        name: `up-${cipher.name}`,
        title: `upload ${size}, ${cipher.name}`,
        measures: 'time',
        unit: 's',
        goal: cipher.up,
        pluginGoal: 1.1,
      },
      run: (target) => sftp(client, target, `put ${big} ${home(target)}up\n`, cipher.options),
      prepare: (target) => rmSync(join(target.home, 'up'), { force: true }),
    },
    {
      ...{
        name: `down-${cipher.name}`,
        title: `download ${size}, ${cipher.name}`,
        measures: 'time',
        unit: 's',
        goal: cipher.down,
        pluginGoal: 1.1,
      },
      async run(target) {
        await sftp(client, target, `get ${home(target)}up ${back}\n`, cipher.options)
        if (digest(back) !== digest(big)) throw new Error(`${target.name} gave other bytes back`)
      },
      prepare: () => rmSync(back, { force: true }),
    },
  ]
}

/** Our users see their home as the root; sshd's see the machine. */
function home(target: Target): string {
  return target.name === 'sshd' ? `${target.home}/` : '/'
}

function putSmall(client: Client, scale: Scale, many: string): Workload {
  return {
    ...{
      name: 'put-small',
      title: `put ${scale.smallFiles} x 4 KiB`,
      measures: 'time',
      unit: 's',
      goal: 0.8,
      pluginGoal: 1.25,
    },
    run: (target) => sftp(client, target, `mkdir ${home(target)}many\nput ${many}/* ${home(target)}many/\n`),
    prepare: (target) => rmSync(join(target.home, 'many'), { recursive: true, force: true }),
  }
}

function getSmall(client: Client, scale: Scale): Workload {
  const back = join(client.folder, 'many-back')
  return {
    ...{
      name: 'get-small',
      title: `get ${scale.smallFiles} x 4 KiB`,
      measures: 'time',
      unit: 's',
      goal: 0.8,
      pluginGoal: 1.25,
    },
    async run(target) {
      await sftp(client, target, `get ${home(target)}many/* ${back}/\n`)
      const count = readdirSync(back).length
      if (count !== scale.smallFiles)
        throw new Error(`${target.name} gave ${count} of ${scale.smallFiles} files`)
    },
    prepare() {
      rmSync(back, { recursive: true, force: true })
      mkdirSync(back)
    },
  }
}

function listLong(client: Client, scale: Scale): Workload {
  return {
    ...{ name: 'list', title: `ls -l of ${scale.listed}, 3 times`, measures: 'time', unit: 's', goal: 0.9 },
    run: (target) => sftp(client, target, `ls -ln ${home(target)}listed\n`.repeat(3)),
    prepare(target) {
      const folder = join(target.home, 'listed')
      mkdirSync(folder, { recursive: true })
      if (readdirSync(folder).length === scale.listed) return
      for (let i = 0; i < scale.listed; i += 1) closeSync(openSync(join(folder, `entry-${i}`), 'w'))
    },
  }
}

function parallel(client: Client, scale: Scale): Workload[] {
  const part = join(client.folder, 'part')
  makeFile(part, scale.parallelMiB)
  const each = (work: (index: number) => Promise<void>): Promise<void[]> =>
    Promise.all(Array.from({ length: scale.parallel }, (_, index) => work(index)))
  const size = `${scale.parallel} x ${scale.parallelMiB} MiB`
  return [
    {
      ...{ name: 'parallel-up', title: `upload ${size} at once`, measures: 'time', unit: 's', goal: 0.3 },
      async run(target) {
        await each((index) =>
          sftp(client, target, `put ${part} ${home(target)}part-${index}\n`, ciphers[0].options),
        )
      },
    },
    {
      ...{ name: 'parallel-down', title: `download ${size} at once`, measures: 'time', unit: 's', goal: 0.5 },
      async run(target) {
        await each((index) =>
          sftp(
            client,
            target,
            `get ${home(target)}part-${index} ${client.folder}/part-${index}\n`,
            ciphers[0].options,
          ),
        )
      },
    },
  ]
}

function sequentialLogins(client: Client, scale: Scale): Workload {
  return {
    ...{
      name: 'logins',
      title: `${scale.logins} logins, one after another`,
      measures: 'time',
      unit: 's',
      goal: 0.15,
    },
    async run(target) {
      for (let i = 0; i < scale.logins; i += 1) await login(client, target)
    },
  }
}

function parallelLogins(client: Client, scale: Scale): Workload {
  return {
    ...{
      name: 'logins-8',
      title: `${scale.logins} logins, 8 at a time`,
      measures: 'time',
      unit: 's',
      goal: 0.15,
    },
    async run(target) {
      let left = scale.logins
      const lane = async (): Promise<void> => {
        while (left > 0) {
          left -= 1
          await login(client, target)
        }
      }
      await Promise.all(Array.from({ length: 8 }, lane))
    },
  }
}

function oneLogin(client: Client, scale: Scale): Workload {
  return {
    ...{
      name: 'login-wall',
      title: 'one login with x25519, on the wall',
      measures: 'value',
      unit: 'ms',
      goal: 30,
    },
    run: (target) => loginMilliseconds(client, target, scale.logins),
  }
}

function statWork(client: Client, scale: Scale, inFlight: number): Workload {
  return {
    ...{
      name: `stat-${inFlight}`,
      title: `${scale.stats} STAT, ${inFlight} in flight`,
      measures: 'time',
      unit: 's',
    },
    run: (target) => statRoundTrips(client, target, { count: scale.stats, inFlight }),
  }
}

function idleSessions(client: Client, scale: Scale): Workload {
  return {
    ...{
      name: 'idle',
      title: `one of ${scale.idle} idle sessions`,
      measures: 'value',
      unit: 'KiB',
    },
    // A few sessions carry what the process keeps anyway.
    ...(scale.idle < 1000 ? {} : { goal: 60 }),
    async run(target) {
      // sshd starts two processes for a session: a tenth of them tells as much.
      const count = target.name === 'sshd' ? Math.ceil(scale.idle / 10) : scale.idle
      const before = memoryOf(target.pid)
      const sessions = await openIdleSessions(client, target, count)
      const each = (memoryOf(target.pid) - before) / count / 1024
      await sessions.close()
      return each
    },
  }
}

function makeFile(path: string, sizeMiB: number): void {
  const chunk = Buffer.alloc(Math.min(sizeMiB, 1) * 1024 * 1024)
  const fd = openSync(path, 'w')
  for (let written = 0; written < sizeMiB * 1024 * 1024; written += chunk.length)
    writeSync(fd, randomFillSync(chunk))
  closeSync(fd)
}

function digest(path: string): string {
  const hash = createHash('sha1')
  const chunk = Buffer.alloc(1 << 20)
  const fd = openSync(path, 'r')
  for (let n = readSync(fd, chunk); n > 0; n = readSync(fd, chunk)) hash.update(chunk.subarray(0, n))
  closeSync(fd)
  return hash.digest('hex')
}

/** Seconds of CPU and wall that this machine needs for the same bytes without any protocol. */
export async function machineFloor(
  client: Client,
  scale: Scale,
): Promise<{ readonly name: string; readonly cpu: number }[]> {
  const floor = new URL('./floor.js', import.meta.url).pathname
  const results = []
  for (const name of ['copy', 'aes-128-gcm', 'chacha20-poly1305', 'aes-256-ctr']) {
    const times: number[] = []
    // The least of several: whatever disturbs one of them is no floor.
    for (let run = 0; run < 5; run += 1) {
      times.push(Number(await output(process.execPath, [floor, name, String(scale.bulkMiB), client.folder])))
    }
    results.push({ name, cpu: Math.min(...times) })
  }
  return results
}

function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0 ? resolve(said.trim()) : reject(new Error(`${command} ended with ${code}`)),
    )
  })
}

/** The first words of `/proc/cpuinfo`'s model, for the report. */
export function machineName(): string {
  return /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor'
}
