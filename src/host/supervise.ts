import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { Clock } from '../base/clock.ts'
import { PluginError } from '../base/errors.ts'
import type { Health } from '../wire/client.ts'
import { exitText } from './first-line.ts'
import type { Life } from './life.ts'

/** What is watched, and how closely. */
export interface SupervisionOptions {
  readonly name: string
  readonly clock: Clock
  /** 0: no limit. */
  readonly memoryBytes: number
  /** Fires when the watching is to end: the plugin is being stopped. */
  readonly signal: AbortSignal
  /** How its calls go. */
  readonly calls: () => CallSilence
  readonly onHealth: (health: Health) => void
  readonly pace?: SupervisionPace
}

/** What calls tell about a plugin that may hang. */
export interface CallSilence {
  /** Calls that missed their deadline since the plugin last answered anything. */
  readonly missedInARow: number
  /** For how long it has left calls unanswered; 0 until one has missed its deadline. */
  readonly silentMs: number
  /** Calls that wait for it now. */
  readonly running: number
}

/** How often is looked, and how long an answer may take: together under the ten seconds we promise. */
export interface SupervisionPace {
  readonly healthEveryMs: number
  readonly healthTimeoutMs: number
  readonly memoryEveryMs: number
  readonly callsEveryMs: number
}

const usualPace: SupervisionPace = {
  healthEveryMs: 3000,
  healthTimeoutMs: 5000,
  memoryEveryMs: 500,
  callsEveryMs: 500,
}

/** So many missed deadlines without one answer between them are a hang, whatever the health service says. */
const missedDeadlines = 2

/** One is enough when nothing was answered for so long and the next already waits: ten seconds are our promise. */
const longestSilenceMs = 9000

/**
 * Watches a life and resolves with the reason why it has to end, or undefined when `signal` fired.
 *
 * The process may still run then: ending it is the caller's.
 */
export async function supervise(life: Life, options: SupervisionOptions): Promise<PluginError | undefined> {
  const over = new AbortController()
  const found = new Promise<PluginError | undefined>((resolve) => {
    const watch = { life, ...options, pace: options.pace ?? usualPace, over: over.signal, found: resolve }
    void watchExit(watch)
    void watchConnection(watch)
    watchHealth(watch)
    watchCalls(watch)
    watchMemory(watch)
    options.signal.addEventListener('abort', () => resolve(undefined), { once: true, signal: over.signal })
    if (options.signal.aborted) resolve(undefined)
  })
  try {
    return await found
  } finally {
    over.abort()
  }
}

interface Watch extends SupervisionOptions {
  readonly life: Life
  readonly pace: SupervisionPace
  /** Fires when a reason was found. */
  readonly over: AbortSignal
  readonly found: (reason: PluginError) => void
}

async function watchExit({ life, name, found }: Watch): Promise<void> {
  found(exitedError(name, await life.process.exited))
}

/** Why the calls of a process that ended fail. */
function exitedError(name: string, exit: Awaited<Life['process']['exited']>): PluginError {
  return new PluginError('exited', `"${name}" ended ${exitText(exit)}`)
}

async function watchConnection({ life, name, clock, found }: Watch): Promise<void> {
  await life.channel.closed
  // Most often the process is ending, and its exit says more.
  await new Promise<void>((resolve) => void clock.after(500, resolve))
  found(new PluginError('connection-refused', `"${name}" closed its connection and goes on running`))
}

function watchHealth(watch: Watch): void {
  const { pace } = watch
  repeat(watch, pace.healthEveryMs, async () => {
    const reason = await healthProblem(watch)
    if (reason !== undefined) watch.found(reason)
  })
}

async function healthProblem({
  life,
  name,
  clock,
  pace,
  onHealth,
  over,
}: Watch): Promise<PluginError | undefined> {
  const began = clock.monotonic()
  try {
    onHealth(await life.channel.health({ timeoutMs: pace.healthTimeoutMs, signal: over }))
    return undefined
  } catch (error) {
    if (!(error instanceof PluginError) || error.code !== 'deadline') return undefined
    // When we were held up ourselves, the plugin's answer may be waiting: it is asked again.
    if (clock.monotonic() - began > pace.healthTimeoutMs + 1000) return undefined
    const seconds = pace.healthTimeoutMs / 1000
    return new PluginError(
      'hung',
      `"${name}" runs but did not answer its health check within ${seconds} seconds`,
    )
  }
}

function watchCalls(watch: Watch): void {
  const { calls, name, found, pace } = watch
  repeat(watch, pace.callsEveryMs, async () => {
    const { missedInARow: missed, silentMs, running } = calls()
    if (missed >= missedDeadlines)
      found(new PluginError('hung', `"${name}" runs but missed the deadline of its last ${missed} calls`))
    else if (silentMs >= longestSilenceMs && running > 0) {
      const seconds = Math.round(silentMs / 1000)
      found(new PluginError('hung', `"${name}" runs but answered no call for ${seconds} seconds`))
    }
  })
}

function watchMemory(watch: Watch): void {
  const { memoryBytes, life, name, found, pace } = watch
  if (memoryBytes === 0) return
  repeat(watch, pace.memoryEveryMs, async () => {
    const used = await residentBytesOf(life.process.pid)
    if (used === undefined || used <= memoryBytes) return
    const [has, may] = [used, memoryBytes].map((bytes) => `${Math.round(bytes / 1024 / 1024)} MiB`)
    found(new PluginError('memory-limit', `"${name}" holds ${has} of memory and may hold ${may}`))
  })
}

/** Runs `action` again and again, with `everyMs` between the end of one and the begin of the next. */
function repeat({ clock, over }: Watch, everyMs: number, action: () => Promise<void>): void {
  const next = (): void => {
    const cancel = clock.after(everyMs, () => {
      void action().finally(() => {
        over.removeEventListener('abort', cancel)
        if (!over.aborted) next()
      })
    })
    over.addEventListener('abort', cancel, { once: true })
  }
  next()
}

/** Resident memory of a process; undefined when it cannot be told. */
export async function residentBytesOf(pid: number): Promise<number | undefined> {
  try {
    if (process.platform === 'linux') {
      const status = await readFile(`/proc/${pid}/status`, 'latin1')
      const kib = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]
      return kib === undefined ? undefined : Number(kib) * 1024
    }
    return await residentByPs(pid)
  } catch {
    return undefined
  }
}

function residentByPs(pid: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    execFile('/bin/ps', ['-o', 'rss=', '-p', String(pid)], { timeout: 2000 }, (error, stdout) => {
      const kib = Number(stdout.trim())
      resolve(error !== null || !Number.isFinite(kib) || kib === 0 ? undefined : kib * 1024)
    })
  })
}
