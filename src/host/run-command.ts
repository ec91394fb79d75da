import { spawn } from 'node:child_process'
import { messageOf } from '../base/errors.ts'

/** A program that somebody else wrote and that comes to an end by itself: a compiler. */
export interface CommandRequest {
  readonly command: readonly string[]
  readonly folder: string
  /** On top of this process's own variables. */
  readonly environment?: Readonly<Record<string, string>>
  readonly timeoutMs: number
}

/** How it ended. `code` is 0 when it did what it was asked. */
export interface CommandOutcome {
  readonly code: number
  /** The last 64 KiB of what it wrote. */
  readonly output: string
}

/** Runs a command to its end, without a shell. Never throws: what could not be started ends with code 127. */
export function runCommand(request: CommandRequest): Promise<CommandOutcome> {
  const { folder, environment, timeoutMs } = request
  const [program = '', ...args] = request.command
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(program, args, {
      cwd: folder,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    const take = (text: string): void => {
      output = (output + text).slice(-65_536)
    }
    child.stdout.setEncoding('utf8').on('data', take)
    child.stderr.setEncoding('utf8').on('data', take)
    child.once('error', (error) => resolve({ code: 127, output: messageOf(error) }))
    child.once('close', (code, signal) => {
      const late = signal === null ? '' : `\nIt was ended after ${timeoutMs} ms`
      resolve({ code: code ?? 1, output: output.trimEnd() + late })
    })
  })
}
