import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { buildFeaturePlugins } from './feature-plugins.ts'

/** A running server under test. All serve the same directory to the same key. */
export interface Target {
  readonly name: string
  readonly version: string
  readonly pid: number
  readonly port: number
  /** Where the server's files lie. */
  readonly home: string
  close(): Promise<void>
}

/** What every target gets. */
export interface TargetOptions {
  /** A private folder for this target. */
  readonly folder: string
  /** The server's files. */
  readonly home: string
  /** The client's public key file. */
  readonly publicKey: string
}

/** How our server runs. */
export interface OursOptions extends TargetOptions {
  /** Default: this process's. */
  readonly node?: string
  readonly features: boolean
  /** The checkout. */
  readonly top: string
  readonly profile?: 'modern' | 'legacy'
  /** Processes that speak SSH; default 1. */
  readonly workers?: number
}

/** Our server from dist. `features` adds permissions, quota, a notifier and an auth plugin. */
export async function startOurs(options: OursOptions): Promise<Target> {
  const { folder, home, top } = options
  const port = await freePort()
  const config = join(folder, 'sftpgo.config.json')
  writeFileSync(join(folder, 'users.json'), JSON.stringify({ users: [userFor(options)] }))
  const plugins = options.features ? await buildFeaturePlugins(top, folder) : []
  writeFileSync(config, JSON.stringify(configFor(port, options, plugins)))
  const node = options.node ?? process.execPath
  const child = launch(
    node,
    ['--max-semi-space-size=4', join(top, 'dist/main.js'), 'serve', '--config', config],
    folder,
    'ours',
  )
  await listening(port, child)
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()
  const name = options.features ? 'ours' : 'ours-plain'
  return target({ name, version: `Node ${version}`, child, port, home })
}

/** Debian's sshd with its internal SFTP server, private to this run. Undefined with the reason when it is missing. */
export async function startSshd(options: TargetOptions): Promise<Target | string> {
  const sshd = '/usr/sbin/sshd'
  if (!existsSync(sshd)) return 'openssh-server is not installed'
  if (process.getuid?.() !== 0) return 'a private sshd that changes users needs root'
  const { folder } = options
  const port = await freePort()
  mkdirSync('/run/sshd', { recursive: true })
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'host')])
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(folder, 'host')}`,
    `AuthorizedKeysFile ${options.publicKey}`,
    `PidFile ${join(folder, 'pid')}`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    'MaxStartups 2000',
    'MaxSessions 100',
    'LogLevel ERROR',
    'Subsystem sftp internal-sftp',
  ]
  writeFileSync(join(folder, 'config'), `${lines.join('\n')}\n`)
  const child = launch(sshd, ['-D', '-e', '-f', join(folder, 'config')], folder, 'sshd')
  await listening(port, child)
  const version = /OpenSSH_\S+/.exec(spawnSync(sshd, ['-V'], { encoding: 'utf8' }).stderr)?.[0] ?? 'OpenSSH'
  return target({ name: 'sshd', version, child, port, home: options.home })
}

/** SFTPGo, when SFTPGO_BINARY names one. */
export async function startSftpgo(options: TargetOptions): Promise<Target | string> {
  const binary = process.env['SFTPGO_BINARY']
  if (binary === undefined) return 'SFTPGO_BINARY is not set'
  const { folder } = options
  const port = await freePort()
  writeFileSync(join(folder, 'dump.json'), JSON.stringify({ version: 17, users: [userFor(options)] }))
  const config = {
    sftpd: { bindings: [{ port, address: '127.0.0.1' }] },
    data_provider: { driver: 'memory', name: join(folder, 'dump.json') },
    httpd: { bindings: [] },
  }
  writeFileSync(join(folder, 'sftpgo.json'), JSON.stringify(config))
  const child = launch(binary, ['serve', '-c', folder, '--log-level', 'error'], folder, 'sftpgo')
  await listening(port, child)
  const version = spawnSync(binary, ['-v'], { encoding: 'utf8' }).stdout.trim()
  return target({ name: 'sftpgo', version, child, port, home: options.home })
}

/** A port of loopback that nobody holds right now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : 0))
    })
  })
}

function userFor({ home, publicKey }: TargetOptions): object {
  return {
    id: 1,
    status: 1,
    username: 'root',
    home_dir: home,
    public_keys: [readFileSync(publicKey, 'utf8').trim()],
    permissions: { '/': ['*'], '/nowhere': ['list'] },
    quota_size: 1e12,
    quota_files: 10_000_000,
  }
}

function configFor(port: number, options: OursOptions, plugins: readonly object[]): object {
  return {
    common: { max_per_host_connections: 0, idle_timeout: 0 },
    sftpd: {
      bindings: [{ port, address: '127.0.0.1' }],
      host_keys: [],
      profile: options.profile ?? 'modern',
      ...(options.workers !== undefined && { workers: options.workers }),
    },
    data_provider: { users_file: join(options.folder, 'users.json') },
    log: { level: 'error' },
    plugins,
  }
}

function launch(command: string, args: readonly string[], folder: string, name: string): ChildProcess {
  const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (bytes: Buffer) => {
      if (said.length < 50) said.push(bytes.toString())
    })
  }
  child.once('exit', (code) => {
    if (code !== 0 && code !== null) process.stderr.write(`${name} ended with ${code}:\n${said.join('')}\n`)
  })
  return child
}

/** Waits until the port answers. */
async function listening(port: number, child: ChildProcess): Promise<void> {
  const until = Date.now() + 30_000
  while (Date.now() < until) {
    if (child.exitCode !== null) throw new Error('the server ended before it listened')
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ port, host: '127.0.0.1' }, () => resolve(true))
      socket.once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the server does not listen')
}

function target(parts: {
  readonly name: string
  readonly version: string
  readonly child: ChildProcess
  readonly port: number
  readonly home: string
}): Target {
  const { name, version, child, port, home } = parts
  if (child.pid === undefined) throw new Error(`${name} did not start`)
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    ...{ name, version, port, home, pid: child.pid },
    async close() {
      child.kill('SIGTERM')
      const limit = setTimeout(() => child.kill('SIGKILL'), 5000)
      await gone
      clearTimeout(limit)
    },
  }
}
