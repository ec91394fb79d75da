import type { Readable } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import { PluginError } from '../base/errors.ts'
import { quoted } from '../wire/handshake.ts'
import type { ExitReport } from './launch.ts'

/** The first line of a stream, waited for at most once. */
export interface FirstLine {
  within(wait: FirstLineWait): Promise<string>
}

/** How long to wait, and what else may happen meanwhile. */
export interface FirstLineWait {
  readonly name: string
  readonly timeoutMs: number
  /** The whole time a start may take, of which `timeoutMs` is left. */
  readonly startTimeoutMs: number
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly exited: Promise<ExitReport>
  /** What the process said last, for the reason. */
  readonly tail: () => string
}

/** What prints a longer first line is not a plugin. */
const longestLine = 64 * 1024

type Outcome =
  { readonly was: 'line'; readonly line: string } | { readonly was: 'too-long' } | { readonly was: 'closed' }

/** Begins to read. `onRest` is called once, with what came after the line; from then on the stream is the caller's. */
export function readFirstLine(stream: Readable, onRest: (rest: Buffer) => void): FirstLine {
  let held: Buffer = Buffer.alloc(0)
  const outcome = new Promise<Outcome>((resolve) => {
    const finish = (outcome: Outcome, rest: Buffer): void => {
      stream.off('data', take)
      stream.off('end', close)
      stream.off('close', close)
      resolve(outcome)
      onRest(rest)
    }
    const take = (bytes: Buffer): void => {
      held = Buffer.concat([held, bytes])
      const end = held.indexOf(10)
      if (end >= 0 && end <= longestLine)
        finish({ was: 'line', line: held.toString('utf8', 0, end) }, held.subarray(end + 1))
      else if (held.length > longestLine) finish({ was: 'too-long' }, Buffer.alloc(0))
    }
    const close = (): void => {
      // A last line without its end counts when nothing can follow.
      if (held.length > 0) finish({ was: 'line', line: held.toString('utf8') }, Buffer.alloc(0))
      else finish({ was: 'closed' }, Buffer.alloc(0))
    }
    stream.on('data', take)
    stream.once('end', close)
    stream.once('close', close)
  })
  return { within: (wait) => waitFor(outcome, () => held.toString('utf8'), wait) }
}

async function waitFor(outcome: Promise<Outcome>, begun: () => string, wait: FirstLineWait): Promise<string> {
  const { name, timeoutMs, startTimeoutMs, signal, clock, exited, tail } = wait
  let stop = (): void => {}
  const ended = new Promise<'timeout' | 'stopped'>((resolve) => {
    const cancel = clock.after(timeoutMs, () => resolve('timeout'))
    const abort = (): void => resolve('stopped')
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    stop = () => {
      cancel()
      signal.removeEventListener('abort', abort)
    }
  })
  try {
    const first = await Promise.race([outcome, exited.then(() => 'exited' as const), ended])
    if (first === 'timeout') throw timeout(name, startTimeoutMs, begun(), tail())
    if (first === 'stopped') throw new PluginError('stopped', `"${name}" was stopped while it started`)
    // An exit may be noticed before the last bytes: `exited` comes after them, so `outcome` is decided by now.
    const result = first === 'exited' ? await outcome : first
    if (result.was === 'line') return result.line
    if (result.was === 'too-long')
      throw new PluginError('bad-handshake', `"${name}" is no plugin: its first line is longer than 64 KiB`)
    throw await silent(name, exited, clock, tail)
  } finally {
    stop()
  }
}

function timeout(name: string, startTimeoutMs: number, begun: string, tail: string): PluginError {
  const half = begun === '' ? '' : `, only ${quoted(begun)} and no end of it`
  return new PluginError(
    'start-timeout',
    `"${name}" printed no first line within ${startTimeoutMs / 1000} seconds${half}; it is no plugin, or plugin_host.start_timeout is too short${said(tail)}`,
  )
}

/** Its output is closed and nothing came: most likely it is about to exit, and the reason is on stderr. */
async function silent(
  name: string,
  exited: Promise<ExitReport>,
  clock: Clock,
  tail: () => string,
): Promise<PluginError> {
  let cancel = (): void => {}
  const patience = new Promise<undefined>((resolve) => {
    cancel = clock.after(500, () => resolve(undefined))
  })
  const exit = await Promise.race([exited, patience])
  cancel()
  if (exit === undefined)
    return new PluginError(
      'bad-handshake',
      `"${name}" closed its output before its first line, and goes on running${said(tail())}`,
    )
  const refused = refusedBy(exit, tail())
  if (refused !== undefined)
    return new PluginError('not-executable', `Cannot start "${name}": the system says "${refused}"`)
  return new PluginError('exited', `"${name}" ended before its first line, ${exitText(exit)}${said(tail())}`)
}

/** Why the kernel did not run it, told by the program in between. */
function refusedBy({ code }: ExitReport, tail: string): string | undefined {
  if (code !== 126 && code !== 127) return undefined
  return /^(?:setpriv|prlimit): failed to execute [^:]+: ([^|]+)$/.exec(tail)?.[1]
}

/** An exit as part of a sentence. */
export function exitText({ code, signal }: ExitReport): string {
  return signal === null ? `with exit code ${code ?? 'unknown'}` : `by signal ${signal}`
}

function said(tail: string): string {
  return tail === '' ? '' : `; it said: ${tail}`
}
