import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { build } from 'esbuild'
import { slots, type SlotName } from '../../src/slots/index.ts'
import { createIdentity, type Identity } from '../../src/wire/certificate.ts'
import { openChannel, type Channel } from '../../src/wire/client.ts'
import { announcementVariables } from '../../src/wire/environment.ts'
import { parseHandshake, type Handshake } from '../../src/wire/handshake.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const fixtures = join(import.meta.dirname, '../fixtures/plugins')

/** Bundles a fixture plugin into one file, as `npm run pack` does for authors. */
export async function buildPlugin(
  name: string,
  folder: string = fixtures,
): Promise<{ readonly file: string } & Disposable> {
  const directory = temporaryDirectory()
  const file = join(directory.path, `${name}.cjs`)
  await build({
    entryPoints: [join(folder, `${name}.ts`)],
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    logLevel: 'silent',
  })
  return { file, [Symbol.dispose]: () => directory[Symbol.dispose]() }
}

/** How a plugin process is started. */
export interface StartOptions {
  readonly slot?: SlotName
  /** Default: true. */
  readonly mutualTls?: boolean
  readonly environment?: Readonly<Record<string, string>>
  readonly settings?: Readonly<Record<string, unknown>>
  readonly command?: readonly string[]
  /** Default: a new one. */
  readonly identity?: Identity
}

/** A running plugin process, as a host sees it. */
export interface PluginProcess extends AsyncDisposable {
  readonly child: ChildProcess
  readonly folder: string
  readonly line: string
  readonly handshake: Handshake
  readonly identity: Identity
  /** Everything on stdout after the first line. */
  stdout(): string
  stderr(): string
  connect(): Promise<Channel>
  exited(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

/** Starts a plugin and reads its first line. */
export async function startPlugin(file: string, options: StartOptions = {}): Promise<PluginProcess> {
  const { slot = 'auth', mutualTls = true } = options
  const directory = temporaryDirectory()
  const identity = options.identity ?? (await createIdentity())
  const [command = process.execPath, ...args] = options.command ?? [process.execPath, file]
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...announcementVariables({
        cookie: slots[slot].cookie,
        versions: [1],
        socketFolder: directory.path,
        ...(mutualTls && { clientCertificatePem: identity.certificatePem }),
        ...(options.settings !== undefined && { settings: options.settings }),
      }),
      ...options.environment,
    },
  })
  let stdout = ''
  let stderr = ''
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()))
  const exit = once(child, 'exit').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }))
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (bytes: Buffer) => {
      stdout += bytes.toString()
      if (stdout.includes('\n')) resolve(stdout.slice(0, stdout.indexOf('\n') + 1))
    })
    child.once('error', reject)
    child.once('close', (code) => reject(new Error(`The plugin ended with ${code}: ${stderr}`)))
  })
  const handshake = parseHandshake(line, { versions: [1], mutualTls })
  return {
    child,
    folder: directory.path,
    line,
    handshake,
    identity,
    stdout: () => stdout.slice(line.length),
    stderr: () => stderr,
    connect: () =>
      openChannel({
        address: handshake.address,
        ...(handshake.certificate !== undefined && {
          tls: { identity, pluginCertificate: handshake.certificate },
        }),
      }),
    exited: () => exit,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exit
      directory[Symbol.dispose]()
    },
  }
}

/** Runs a program to its end and gives what it printed. */
export async function runToEnd(command: readonly string[], environment: Readonly<Record<string, string>>) {
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...environment } })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

/** Waits until `condition` holds, at most five seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 5_000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`It never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
