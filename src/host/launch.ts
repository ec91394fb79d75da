import { spawn, type ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import { PluginError, messageOf } from '../base/errors.ts'
import { isCalledByName, limitedCommand, userOptions, type Confinement } from './confinement.ts'
import { readFirstLine } from './first-line.ts'
import type { HostDeath } from './host-death.ts'
import type { OutputReader, OutputStream } from './output.ts'
import type { VerifiedProgram } from './verified-copy.ts'

/** What is started, and with what. */
export interface LaunchRequest {
  readonly name: string
  readonly program: VerifiedProgram
  /** The whole environment: nothing is added to it. */
  readonly environment: Readonly<Record<string, string>>
  readonly output: OutputReader
  readonly hostDeath: HostDeath
  /** Absent: as the server itself. */
  readonly confinement?: Confinement | undefined
  readonly clock: Clock
  /** For the message when it takes too long. */
  readonly startTimeoutMs: number
  /** Leaves what it started alive when it ends, for who wants to see whether it cleans up. Default false. */
  readonly sparesGroup?: boolean
}

/** How a process ended. */
export interface ExitReport {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A plugin's process, in a group of its own, whose output is read to the end. */
export interface PluginProcess {
  readonly pid: number
  /** Settles when the process is gone, whoever still holds its pipes. */
  readonly exited: Promise<ExitReport>
  /** How it ended; undefined while it runs. */
  readonly exit: ExitReport | undefined
  /** The first line of its standard output, once. Rejects with what went wrong instead. */
  firstLine(timeoutMs: number, signal: AbortSignal): Promise<string>
  /** Sends a signal to the process alone. */
  signal(name: NodeJS.Signals): void
  /** Ends the process and everything it started. */
  killGroup(): void
}

/** Starts a verified program without a shell, with no standard input and no descriptor of ours but its own bytes. */
export async function launch(request: LaunchRequest): Promise<PluginProcess> {
  const { name } = request
  const child = startChild(request)
  await spawned(child, name)
  // A pid is there once `spawn` was emitted.
  const pid = child.pid as number
  request.hostDeath.watch(pid)
  // Piped, as asked for.
  const stdout = child.stdout as Readable
  const stderr = child.stderr as Readable
  const first = readFirstLine(stdout, (rest) => drain(stdout, 'stdout', request, rest))
  drain(stderr, 'stderr', request)
  let exit: ExitReport | undefined
  const exited = new Promise<ExitReport>((resolve) => {
    child.once('exit', (code, signal) => {
      exit = { code, signal }
      // What it started must not outlive it. The group's number is free only when nobody is left in it.
      if (request.sparesGroup !== true) kill(-pid, 'SIGKILL')
      request.hostDeath.forget(pid)
      void afterOutput(child, request.clock).then(() => {
        request.output.end()
        resolve({ code, signal })
      })
    })
  })
  return {
    pid,
    exited,
    get exit() {
      return exit
    },
    async firstLine(timeoutMs, signal) {
      return first.within({
        timeoutMs,
        startTimeoutMs: request.startTimeoutMs,
        signal,
        clock: request.clock,
        exited,
        name,
        tail: () => request.output.tail(),
      })
    },
    signal: (signalName) => {
      if (exit === undefined) kill(pid, signalName)
    },
    killGroup: () => {
      if (exit === undefined) kill(-pid, 'SIGKILL')
    },
  }
}

function startChild({ name, program, environment, hostDeath, confinement }: LaunchRequest): ChildProcess {
  const args = [...program.leadingArgs, ...program.args]
  const own = { command: program.command, args }
  const inner = confinement === undefined ? own : limitedCommand(confinement, own)
  // The watcher is enough for those that no wrapper may call.
  const wrapped = isCalledByName(program)
    ? own
    : hostDeath.wrap(inner.command, inner.args, confinement && userOptions(confinement))
  try {
    return spawn(wrapped.command, [...wrapped.args], {
      argv0: wrapped.command === program.command ? program.argv0 : wrapped.command,
      env: { ...environment },
      stdio: ['ignore', 'pipe', 'pipe', ...(program.descriptor === undefined ? [] : [program.descriptor])],
      detached: true,
      windowsHide: true,
    })
  } catch (error) {
    throw cannotRun(name, error)
  }
}

function spawned(child: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.on('error', (error) => reject(cannotRun(name, error)))
  })
}

function cannotRun(name: string, error: unknown): PluginError {
  return new PluginError('not-executable', `Cannot start "${name}": the system says "${messageOf(error)}"`, {
    cause: error,
  })
}

/** Reads a stream for ever, slower when too much comes. */
function drain(stream: Readable, from: OutputStream, { output, clock }: LaunchRequest, rest?: Buffer): void {
  const take = (bytes: Buffer): void => {
    output.take(bytes, from)
    const pauseMs = output.pauseMs
    if (pauseMs === 0) return
    stream.pause()
    clock.after(Math.min(pauseMs, 1000), () => stream.resume())
  }
  stream.on('error', () => {}) // the other end is gone, which `exit` tells
  if (rest !== undefined && rest.length > 0) take(rest)
  stream.on('data', take)
}

/** The pipes may be held open by somebody else: then what has come so far is all. */
function afterOutput(child: ChildProcess, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel()
      child.stdout?.destroy()
      child.stderr?.destroy()
      resolve()
    }
    child.stdout?.resume()
    child.stderr?.resume()
    const cancel = clock.after(200, done)
    child.once('close', done)
  })
}

function kill(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal)
  } catch {
    // Nobody is left.
  }
}
