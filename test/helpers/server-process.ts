import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

const top = resolve(import.meta.dirname, '../..')
const program = join(top, 'dist/main.js')

/** What a command line said and how it ended. */
export interface CommandResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the built executable with these arguments to its end. */
export function runCommand(
  args: readonly string[],
  options: {
    readonly cwd?: string
    readonly env?: Readonly<Record<string, string>>
    readonly input?: string
  } = {},
): CommandResult {
  if (!existsSync(program)) throw new Error('The program is not built: run "npm run build"')
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
    ...options,
    env: { ...process.env, ...options.env },
  })
  return { status, stdout, stderr }
}

/** As `runCommand`, without holding up what serves the command from this process, as a fake does. */
export async function runCommandBeside(args: readonly string[], input = ''): Promise<CommandResult> {
  const child = spawn(process.execPath, [program, ...args], { stdio: 'pipe' })
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
  child.stdin.end(input)
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, ...said }
}

/** A server that runs as a process of its own, with what it printed at its start. */
export interface ServerProcess extends AsyncDisposable {
  readonly process: ChildProcess
  readonly port: number
  /** What stands on the first screen. */
  readonly screen: string
  /** The password of the first account, on a first start. */
  readonly password: string | undefined
  /** Lines of the log so far. */
  readonly log: () => string
  readonly readyMs: number
  /** Sends a signal and waits for the end; the exit code, or the signal that ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
  readonly ended: Promise<number | NodeJS.Signals | null>
}

/** Starts `serve` and waits until it is ready. */
export async function startServerProcess(
  config: string,
  options: {
    readonly args?: readonly string[]
    readonly env?: Readonly<Record<string, string>>
    readonly program?: string
  } = {},
): Promise<ServerProcess> {
  const began = performance.now()
  const child = spawn(
    process.execPath,
    [options.program ?? program, 'serve', '--config', config, ...(options.args ?? [])],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    },
  )
  let screen = ''
  let log = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const ended = new Promise<number | NodeJS.Signals | null>((settle) => {
    child.once('close', (code, signal) => settle(code ?? signal))
  })
  await ready()
  return {
    process: child,
    port: Number(/sftp -P (\d+)/.exec(screen)?.[1]),
    screen,
    password: /password (\S+)/.exec(screen)?.[1],
    log: () => log,
    readyMs: performance.now() - began,
    ended,
    stop(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }

  function ready(): Promise<void> {
    return new Promise((settle, reject) => {
      const fail = (): void => reject(new Error(`The server did not start:\n${screen}\n${log}`))
      const timer = setTimeout(fail, 20_000)
      child.once('exit', fail)
      child.stdout.on('data', () => {
        if (!screen.includes('Ctrl-C')) return
        clearTimeout(timer)
        child.off('exit', fail)
        settle()
      })
    })
  }
}
