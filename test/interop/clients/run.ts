import { spawn, spawnSync } from 'node:child_process'

/** What a program did. */
export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly said: string
}

/** How to run it. */
export interface RunOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  /** Kills it when this resolves; the exit is then no failure. */
  readonly killWhen?: Promise<void>
  readonly timeoutMs?: number
}

/** Runs a program to its end; throws with what it said when it fails. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const ran = await start(command, args, options)
  if (ran.code !== 0 && options.killWhen === undefined) {
    throw new Error(`${command} ended with ${ran.code}: ${(ran.said + ran.out).slice(-2000)}`)
  }
  return ran
}

function start(command: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, LC_ALL: 'C.UTF-8', ...options.env }
    // Its own group: some clients start ssh, and both have to go when the client is killed.
    const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    const killGroup = (): void => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
    }
    const limit = setTimeout(killGroup, options.timeoutMs ?? 120_000)
    let out = ''
    let said = ''
    child.stdout.on('data', (bytes: Buffer) => (out += bytes.toString('utf8')))
    child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString('utf8')))
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(limit)
      resolve({ code, out, said })
    })
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
    void options.killWhen?.then(killGroup)
  })
}

/** The first match of `pattern` in what `command` says of itself; undefined when it is not there. */
export function versionOf(command: string, args: readonly string[], pattern: RegExp): string | undefined {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 })
  if (error !== undefined) return undefined
  return pattern.exec(`${stdout}\n${stderr}`)?.[0]
}

/** `text` in double quotes for a client's command language. */
export function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
