// What logins cost: rate with an auth plugin, CPU of a key login, memory of idle sessions, a flood of wrong passwords.
// npm run bench logins [-- --quick] [--save FILE]
import { fork, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import ssh2, { type ConnectConfig, type SFTPWrapper } from 'ssh2'
import { digestOf } from '../src/host/checksum.ts'
import { median } from './harness/report.ts'

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, save: { type: 'string' } },
})
const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-logins-'))
mkdirSync(join(folder, 'home'))
const program = 'dist/main.js'
const rows: string[][] = [['what', 'measured', 'goal', 'met']]

try {
  await measurePlugin()
  const server = await startServer('plain', {})
  try {
    await measureKeys(server)
    await measureFlood(server)
  } finally {
    await stop(server.process)
  }
  await measureIdle()
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  for (const row of rows)
    console.log(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  if (values.save !== undefined) writeFileSync(values.save, `${JSON.stringify(rows, undefined, 2)}\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

interface Server {
  readonly process: ChildProcess
  readonly port: number
  readonly privateKey: string
}

async function measurePlugin(): Promise<void> {
  const cmd = join(folder, 'auth.mjs')
  const { outputFiles } = await build({
    entryPoints: ['bench/logins/auth-plugin.ts'],
    ...({ bundle: true, write: false, platform: 'node', format: 'esm' } as const),
    banner: {
      js: "import { createRequire as make } from 'node:module'; const require = make(process.execPath);",
    },
  })
  const bytes = Buffer.from(outputFiles[0]?.contents ?? [])
  writeFileSync(cmd, bytes)
  const server = await startServer('plugin', {
    plugins: [{ type: 'auth', cmd, sha256sum: digestOf(bytes), auth_options: { scope: 1 } }],
  })
  try {
    const seconds = values.quick ? 5 : 20
    await loginFor(server, 1, { password: 'x' })
    const cpu = cpuMs(server.process)
    const logins = await loginFor(server, seconds, { password: 'x' })
    const rate = logins / seconds
    const each = (cpuMs(server.process) - cpu) / logins
    add('logins a second with a plugin answering in 5 ms', rate, 150, 'at least', '/s')
    // The client takes the other core, or more than it: what one core of the server alone would carry.
    add('the same, by the CPU that a login takes on one core', 1000 / each, 150, 'at least', '/s')
  } finally {
    await stop(server.process)
  }
}

async function measureKeys(server: Server): Promise<void> {
  const { privateKey } = server
  await loginFor(server, 2, { privateKey })
  const cpu = cpuMs(server.process)
  const logins = await loginFor(server, values.quick ? 5 : 20, { privateKey })
  add('server CPU of a login with a key', (cpuMs(server.process) - cpu) / logins, 5, 'at most', ' ms')
}

/** Of a server that has served nobody but a few, so that no memory of others is used again. */
async function measureIdle(): Promise<void> {
  const server = await startServer('idle', {})
  try {
    await measureIdleOf(server)
  } finally {
    await stop(server.process)
  }
}

async function measureIdleOf(server: Server): Promise<void> {
  const count = values.quick ? 200 : 1000
  await loginFor(server, 1, { privateKey: server.privateKey })
  await quiet()
  const before = residentKiB(server.process)
  const clients: ssh2.Client[] = []
  for (let n = 0; n < count; n += 10)
    clients.push(
      ...(await Promise.all(Array.from({ length: 10 }, () => openSession(server)))).map(([one]) => one),
    )
  await quiet()
  const perThousand = ((residentKiB(server.process) - before) / count / 1024) * 1000
  add(`memory of 1,000 idle sessions (${count} opened)`, perThousand, 60, 'at most', ' MiB')
  for (const client of clients) client.end()
}

async function measureFlood(server: Server): Promise<void> {
  const [client, sftp] = await openSession(server)
  const base = await statTimes(sftp, values.quick ? 3 : 10)
  const flood = fork(new URL('./logins/flood.js', import.meta.url), [String(server.port), '200'])
  let refused = 0
  flood.on('message', () => (refused += 1))
  // The flood is whole only when its first connections have had their third answers, each after a second or more.
  await new Promise((resolve) => setTimeout(resolve, 10_000))
  const [from, since] = [refused, performance.now()]
  const during = await statTimes(sftp, values.quick ? 8 : 60)
  const rate = (refused - from) / ((performance.now() - since) / 1000)
  flood.kill()
  client.end()
  const [baseP99, p50, p99] = [quantile(base, 0.99), quantile(during, 0.5), quantile(during, 0.99)]
  console.log(`STAT before: p50 ${quantile(base, 0.5).toFixed(2)} ms, p99 ${baseP99.toFixed(2)} ms`)
  add('wrong passwords refused a second, of 200 offered', rate, 200, 'about', '/s')
  add('STAT p50 of a session meanwhile', p50, 10, 'at most', ' ms')
  add('STAT p99 of a session meanwhile', p99, Math.max(50, 2 * baseP99), 'at most', ' ms')
}

/** Logs in again and again on eight connections at once; how many came in. */
async function loginFor(
  server: Server,
  seconds: number,
  credential: Partial<ConnectConfig>,
): Promise<number> {
  const end = Date.now() + seconds * 1000
  let count = 0
  const worker = async (): Promise<void> => {
    while (Date.now() < end) {
      const client = await connect(server, credential)
      count += 1
      client.end()
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return count
}

function connect({ port }: Server, credential: Partial<ConnectConfig>): Promise<ssh2.Client> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client()
    client.once('ready', () => resolve(client))
    client.on('error', reject)
    // Without this the client's own waiting for more to send costs 40 ms a turn.
    const sock = connectTcp({ host: '127.0.0.1', port, noDelay: true })
    client.connect({ sock, username: 'ada', ...credential })
  })
}

async function openSession(server: Server): Promise<[ssh2.Client, SFTPWrapper]> {
  const client = await connect(server, { privateKey: server.privateKey })
  const sftp = await new Promise<SFTPWrapper>((resolve, reject) => {
    client.sftp((error, channel) => (error === undefined ? resolve(channel) : reject(error)))
  })
  return [client, sftp]
}

async function statTimes(sftp: SFTPWrapper, seconds: number): Promise<number[]> {
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    const since = performance.now()
    await new Promise<void>((resolve, reject) => {
      sftp.stat('/', (error) => (error === undefined || error === null ? resolve() : reject(error)))
    })
    times.push(performance.now() - since)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return times
}

/** A whole server as people run it, on one core where the machine can say so, with one user `ada`. */
async function startServer(name: string, settings: object): Promise<Server> {
  const config = join(folder, `${name}.json`)
  const common = { idle_timeout: 0, max_per_host_connections: 0 }
  writeFileSync(
    config,
    JSON.stringify({ sftpd: { bindings: [{ port: 0, address: '127.0.0.1' }] }, common, ...settings }),
  )
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const keyFile = join(folder, 'key.pub')
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
  writeFileSync(keyFile, authorizedKey(publicKey.export({ format: 'jwk' })))
  const made = spawnSync(
    process.execPath,
    [
      program,
      'user',
      'add',
      'ada',
      '--no-password',
      '--home',
      join(folder, 'home'),
      '--key',
      keyFile,
      '--config',
      config,
    ],
    { encoding: 'utf8' },
  )
  if (made.status !== 0) throw new Error(made.stderr)
  const pinned = existsSync('/usr/bin/taskset') ? (['taskset', '-c', '0'] as const) : []
  const [command, ...args] = [
    ...pinned,
    process.execPath,
    '--max-semi-space-size=4', // as `npm start`
    program,
    'serve',
    '--config',
    config,
    '--log-level',
    'error',
  ]
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise<number>((resolve, reject) => {
    let screen = ''
    child.stdout.on('data', (text: Buffer) => {
      screen += text.toString()
      const found = /sftp -P (\d+)/.exec(screen)?.[1]
      if (found !== undefined) resolve(Number(found))
    })
    child.once('close', () => reject(new Error(`The server ended: ${screen}`)))
  })
  return { process: child, port, privateKey: pem }
}

function authorizedKey({ n = '', e = '' }: { n?: string; e?: string }): string {
  const field = (bytes: Buffer): Buffer => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([length, bytes])
  }
  const number = (text: string): Buffer =>
    field(Buffer.concat([Buffer.alloc(1), Buffer.from(text, 'base64url')]))
  const blob = Buffer.concat([field(Buffer.from('ssh-rsa')), field(Buffer.from(e, 'base64url')), number(n)])
  return `ssh-rsa ${blob.toString('base64')}\n`
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('close', () => resolve())
    child.kill('SIGTERM')
  })
}

/** User and system time of the process, its threads included, its plugins not. */
function cpuMs({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function residentKiB({ pid }: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

function quiet(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2_000))
}

function quantile(times: readonly number[], share: number): number {
  if (share === 0.5) return median(times)
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * share)] ?? 0
}

function add(
  what: string,
  measured: number,
  goal: number,
  kind: 'at least' | 'at most' | 'about',
  unit: string,
): void {
  const met =
    kind === 'at least' ? measured >= goal : kind === 'at most' ? measured <= goal : measured >= goal * 0.98
  rows.push([what, `${measured.toFixed(1)}${unit}`, `${kind} ${goal.toFixed(0)}${unit}`, met ? 'yes' : 'NO'])
}
