import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { PluginError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import { connectSlot, type SlotApi, type SlotName } from '../slots/index.ts'
import type { Health } from '../wire/client.ts'
import { createCallGate, type CallGate, type EndedCall } from './call-gate.ts'
import { endLife, type StopPace } from './end-life.ts'
import { exitText } from './first-line.ts'
import { fingerprintOf } from './file-fingerprint.ts'
import type { HostDeath } from './host-death.ts'
import type { InstanceState } from './instance-state.ts'
import { beginLife, type Life } from './life.ts'
import { createOutputReader } from './output.ts'
import { callTimeoutOf, type PluginEntry } from './plugin-entry.ts'
import { createPluginLog, type PluginLog } from './plugin-log.ts'
import type { ProcessRecords } from './process-record.ts'
import { programPlaceOf } from './program.ts'
import { supervise, type SupervisionPace } from './supervise.ts'
import { verifiedCopy, type VerifiedProgram } from './verified-copy.ts'

/** What all instances of a host share. */
export interface InstanceSurroundings {
  readonly log: Logger
  readonly meter: Meter
  readonly clock: Clock
  readonly hostDeath: HostDeath
  readonly records: ProcessRecords
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where private copies are made. */
  readonly runFolder: string
  readonly runFrom: 'memory' | 'file'
  readonly startTimeoutMs: number
  /** Entries marked `dev` may run without a checksum. */
  readonly allowDev: boolean
  /** Entries may switch mutual TLS off. */
  readonly allowPlaintext: boolean
  readonly pace: InstancePace
}

/** How fast things happen; tests make them faster. */
export interface InstancePace {
  readonly supervision?: SupervisionPace
  readonly stop?: StopPace
  /** First wait after a failure, and the longest. */
  readonly firstRestartMs: number
  readonly mostRestartMs: number
  /** So many starts in such a time, then it is over. */
  readonly mostStarts: number
  readonly startsWithinMs: number
  /** A life of this length forgives the failures before it. */
  readonly forgivenAfterMs: number
  /** How often the bytes of a program that may not run are hashed again, and how often its file is looked at. */
  readonly hashAgainMs: number
  readonly lookAgainMs: number
}

/** What the issue of supervision says. */
export const usualPace: InstancePace = {
  firstRestartMs: 250,
  mostRestartMs: 60_000,
  mostStarts: 20,
  startsWithinMs: 600_000,
  forgivenAfterMs: 60_000,
  hashAgainMs: 60_000,
  lookAgainMs: 1000,
}

/** What is known of the program and the process of an instance. */
export interface InstanceFacts {
  readonly runsFrom?: VerifiedProgram['runsFrom']
  readonly sha256?: string
  readonly warning?: string
  readonly health?: Health
  readonly lastExit?: string
  readonly starts: number
  readonly calls: {
    readonly running: number
    readonly waiting: number
    readonly answered: number
    readonly failed: number
  }
}

/** One configured plugin through all its lives. */
export class Instance<N extends SlotName = SlotName> {
  readonly log: PluginLog
  readonly #around: InstanceSurroundings
  readonly #logger: Logger
  readonly #readyListeners = new Set<() => void>()
  readonly #settled = new Set<() => void>()
  readonly #startTimes: number[] = []
  #entry: PluginEntry
  #state: InstanceState
  #stop = new AbortController()
  #running: Promise<void> | undefined
  #kick: (() => void) | undefined
  #api: SlotApi<N> | undefined
  #gate: CallGate | undefined
  #unable: PluginError | undefined
  #failures = 0
  #missed = 0
  #facts: Omit<InstanceFacts, 'calls'> = { starts: 0 }
  #answered = 0
  #failed = 0
  #lastReason = ''

  constructor(entry: PluginEntry, around: InstanceSurroundings) {
    this.#entry = entry
    this.#around = around
    this.#logger = around.log.with({ plugin: entry.name, slot: entry.type })
    this.#state = {
      at: 'stopped',
      since: around.clock.now(),
      why: entry.enabled === false ? 'disabled' : 'not-started',
    }
    this.log = createPluginLog(() => this.#entry.logLevel ?? 'info', this.#logger)
  }

  get entry(): PluginEntry {
    return this.#entry
  }

  get state(): InstanceState {
    return this.#state
  }

  get facts(): InstanceFacts {
    const calls = { running: this.#gate?.running ?? 0, waiting: this.#gate?.waiting ?? 0 }
    return { ...this.#facts, calls: { ...calls, answered: this.#answered, failed: this.#failed } }
  }

  /** The contract of the process that is ready now. Ask each time and keep nothing. */
  get api(): SlotApi<N> | undefined {
    return this.#unable === undefined ? this.#api : undefined
  }

  /** Why the process that runs cannot be asked: it said so itself (a failed reload). */
  get unable(): PluginError | undefined {
    return this.#unable
  }

  /** Calls `action` each time a process becomes ready; the returned function ends that. */
  onReady(action: () => void): () => void {
    this.#readyListeners.add(action)
    return () => this.#readyListeners.delete(action)
  }

  /** Begins to run, if it is enabled. */
  start(): void {
    if (this.#entry.enabled === false || this.#running !== undefined) return
    this.#stop = new AbortController()
    this.#running = this.#run(this.#stop.signal)
  }

  /** Resolves when it is ready or has a reason not to be. */
  settled(): Promise<void> {
    if (['ready', 'waiting', 'failed', 'stopped'].includes(this.#state.at) && this.#lastSettled())
      return Promise.resolve()
    return new Promise((resolve) => this.#settled.add(resolve))
  }

  /** Takes over settings that need no other process. */
  update(entry: PluginEntry): void {
    this.#entry = entry
  }

  /** Ends the process if there is one and starts again, forgiving all failures. Resolves when that is settled. */
  async restart(): Promise<void> {
    this.#startTimes.length = 0
    this.#failures = 0
    if (this.#state.at === 'waiting' || this.#state.at === 'failed') {
      const settled = new Promise<void>((resolve) => this.#settled.add(resolve))
      this.#kick?.()
      return settled
    }
    await this.stop()
    this.start()
    return this.settled()
  }

  /** Ends it: no new calls, those under way may end, then the process leaves. Idempotent. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#kick?.()
    await this.#running
    this.#running = undefined
  }

  /** Has a filter read its lists again. When that fails it cannot answer until a reload succeeds. */
  async reloadLists(): Promise<void> {
    // Only filters have the method; the others have nothing to reload.
    const api = this.#api as { reload?: () => Promise<void> } | undefined
    if (api?.reload === undefined) return
    try {
      await api.reload()
      if (this.#unable !== undefined) this.#logger.info('plugin can answer again')
      this.#unable = undefined
    } catch (error) {
      if (error instanceof PluginError && error.code === 'unimplemented') return
      this.#unable = new PluginError(
        'failed',
        `"${this.#entry.name}" could not reload: ${messageOf(error)}`,
        {
          cause: error,
        },
      )
      this.#logger.error('plugin cannot answer', { code: 'failed', reason: this.#unable.message })
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const reason = await this.#attempt(signal)
      if (reason === undefined || signal.aborted) break
      await this.#pauseAfter(reason, signal)
    }
    this.#set({ at: 'stopped', since: this.#around.clock.now(), why: 'closed' })
  }

  /** Verifies, starts and watches once. Resolves with why it did not go on, or undefined when it was stopped. */
  async #attempt(signal: AbortSignal): Promise<Reason | undefined> {
    let program: VerifiedProgram
    try {
      this.#set({ at: 'verifying', since: this.#around.clock.now() })
      program = await this.#verify()
    } catch (error) {
      return { error: asPluginError(this.#entry.name, error), kind: isForEver(error) ? 'for-ever' : 'bytes' }
    }
    if (signal.aborted) {
      await program.close()
      return undefined
    }
    const tooMany = this.#countStart()
    if (tooMany !== undefined) {
      await program.close()
      return { error: tooMany, kind: 'for-ever' }
    }
    const error = await this.#live(program, signal)
    return error === undefined ? undefined : { error, kind: 'process' }
  }

  #verify(): Promise<VerifiedProgram> {
    const { allowDev, allowPlaintext, runFolder, runFrom } = this.#around
    const entry = this.#entry
    if (entry.autoMtls === false && !allowPlaintext)
      throw new PluginError(
        'plaintext-refused',
        `Cannot start "${entry.name}": auto_mtls is false and plugin_host.allow_plaintext is not true`,
      )
    return verifiedCopy(entry, {
      runFolder,
      runFrom: entry.runFrom ?? runFrom,
      trustAnyBytes: entry.dev === true && allowDev,
    })
  }

  /** A process from its start to its end. */
  async #live(program: VerifiedProgram, signal: AbortSignal): Promise<PluginError | undefined> {
    const { clock } = this.#around
    this.#facts = {
      starts: this.#facts.starts + 1,
      runsFrom: program.runsFrom,
      sha256: program.sha256,
      ...(program.warning !== undefined && { warning: program.warning }),
      ...(this.#facts.lastExit !== undefined && { lastExit: this.#facts.lastExit }),
    }
    if (program.warning !== undefined)
      this.#logger.warn('plugin not wholly verified', { warning: program.warning })
    this.#set({ at: 'starting', since: clock.now() })
    let life: Life
    try {
      life = await this.#begin(program, signal)
    } catch (error) {
      if (signal.aborted) return undefined
      return asPluginError(this.#entry.name, error)
    }
    const began = clock.monotonic()
    const reason = await this.#beReady(life, signal)
    if (clock.monotonic() - began >= this.#around.pace.forgivenAfterMs) this.#failures = 0
    await (reason === undefined ? this.#leave(life) : this.#abandon(life, reason))
    if (life.process.exit !== undefined)
      this.#facts = { ...this.#facts, lastExit: exitText(life.process.exit) }
    return reason
  }

  #begin(program: VerifiedProgram, signal: AbortSignal): Promise<Life> {
    const { log } = this
    return beginLife(this.#entry, program, {
      ...this.#around,
      signal,
      output: createOutputReader((record) => log.add(record)),
      onProcess: ({ pid }) => this.#set({ at: 'starting', since: this.#around.clock.now(), pid }),
    })
  }

  async #beReady(life: Life, signal: AbortSignal): Promise<PluginError | undefined> {
    const { clock, pace, meter } = this.#around
    const entry = this.#entry
    const timeoutMs = callTimeoutOf(entry)
    const gate = createCallGate({
      ...{ name: entry.name, clock, timeoutMs },
      atOnce: entry.limits?.calls ?? 64,
      inLine: entry.limits?.queue ?? 1024,
      onEnd: (call) => this.#noteCall(call),
    })
    this.#missed = 0
    this.#unable = undefined
    this.#gate = gate
    // The entry's type is this instance's slot: the host makes each instance for the slot it is asked for.
    this.#api = connectSlot(entry.type, life.channel, {
      ...{ timeoutMs, around: gate.around },
      ...(entry.unknownStatus !== undefined && { unknownStatus: entry.unknownStatus }),
    }) as SlotApi<N>
    this.#set({ at: 'ready', since: clock.now(), pid: life.process.pid })
    this.#lastReason = ''
    meter.set('plugin_up', 1, { plugin: entry.name, slot: entry.type })
    this.#logger.info('plugin ready', { pid: life.process.pid, runs_from: this.#facts.runsFrom })
    for (const listener of this.#readyListeners) listener()
    const reason = await supervise(life, {
      ...{ name: entry.name, clock, signal },
      memoryBytes: entry.limits?.memoryBytes ?? 0,
      missedInARow: () => this.#missed,
      onHealth: (health) => this.#noteHealth(health),
      ...(pace.supervision !== undefined && { pace: pace.supervision }),
    })
    this.#api = undefined
    meter.set('plugin_up', 0, { plugin: entry.name, slot: entry.type })
    return reason
  }

  /** It is to stop: calls under way may end within their deadline. */
  async #leave(life: Life): Promise<void> {
    const { clock, pace } = this.#around
    const { name } = this.#entry
    this.#set({ at: 'stopping', since: clock.now(), pid: life.process.pid })
    const drained = this.#gate?.close(new PluginError('stopped', `"${name}" is being stopped`))
    await Promise.race([drained, life.process.exited, after(clock, callTimeoutOf(this.#entry))])
    const leftBy = await endLife(life, { clock, ...(pace.stop !== undefined && { pace: pace.stop }) })
    this.#logger.info('plugin stopped', { left_by: leftBy })
  }

  /** It has to end: calls under way hear why, and nothing is asked of it any more. */
  async #abandon(life: Life, reason: PluginError): Promise<void> {
    void this.#gate?.close(reason)
    await life.channel.close(reason)
    await endLife(life, { clock: this.#around.clock, hung: true })
  }

  async #pauseAfter({ error, kind }: Reason, signal: AbortSignal): Promise<void> {
    const { clock, pace } = this.#around
    const since = clock.now()
    if (kind === 'for-ever') {
      this.#set({ at: 'failed', since, reason: error })
      this.#tellOnce(error)
      return this.#pause(undefined, signal)
    }
    if (kind === 'process') this.#failures += 1
    const { firstRestartMs: firstMs, mostRestartMs: mostMs } = pace
    const waitMs = kind === 'bytes' ? pace.hashAgainMs : backoffMs(this.#failures, { firstMs, mostMs })
    this.#set({ at: 'waiting', since, until: since + waitMs, reason: error })
    this.#tellOnce(error)
    if (kind === 'process')
      this.#around.meter.add('plugin_restarts_total', 1, { plugin: this.#entry.name, code: error.code })
    return this.#pause(waitMs, signal, kind === 'bytes' ? placesOf(this.#entry) : [])
  }

  /** Waits for so long, or for ever; less when somebody asks, when it is stopped, or when a file changes. */
  async #pause(ms: number | undefined, signal: AbortSignal, paths: readonly string[] = []): Promise<void> {
    const { clock, pace } = this.#around
    const over = new AbortController()
    const before = paths.length > 0 ? await fingerprintOf(paths) : ''
    await new Promise<void>((resolve) => {
      this.#kick = resolve
      signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal })
      if (signal.aborted) resolve()
      if (ms !== undefined) onAbort(over.signal, clock.after(ms, resolve))
      const look = (): void => {
        const cancel = clock.after(pace.lookAgainMs, () => {
          void fingerprintOf(paths).then((now) => (now === before ? look() : resolve()))
        })
        onAbort(over.signal, cancel)
      }
      if (paths.length > 0) look()
    })
    this.#kick = undefined
    over.abort()
  }

  /** Undefined when one more start is allowed. */
  #countStart(): PluginError | undefined {
    const { clock, pace } = this.#around
    const now = clock.monotonic()
    while ((this.#startTimes[0] ?? now) <= now - pace.startsWithinMs) this.#startTimes.shift()
    if (this.#startTimes.length < pace.mostStarts) {
      this.#startTimes.push(now)
      return undefined
    }
    const { name } = this.#entry
    const minutes = pace.startsWithinMs / 60_000
    return new PluginError(
      'too-many-restarts',
      `"${name}" was started ${pace.mostStarts} times in ${minutes} minutes and ended each time, last because: ${this.#lastReason}; "sftpgo-ts plugin restart ${name}" tries again`,
    )
  }

  #noteCall({ service, method, tookMs, outcome }: EndedCall): void {
    const { name, logLevel } = this.#entry
    if (outcome === 'deadline') this.#missed += 1
    else if (!['exited', 'cancelled', 'overloaded'].includes(outcome)) this.#missed = 0
    if (outcome === 'answered' || outcome === 'refused' || outcome === 'refused-or-failed')
      this.#answered += 1
    else this.#failed += 1
    this.#around.meter.add('plugin_calls_total', 1, { plugin: name, outcome })
    this.#around.meter.observe('plugin_call_seconds', tookMs / 1000, { plugin: name })
    if (logLevel !== 'trace') return
    const timeMs = this.#around.clock.now()
    const fields = { method: `${service}/${method}`, took_ms: Math.round(tookMs * 100) / 100, outcome }
    this.log.add({ timeMs, level: 'trace', message: 'plugin call', stream: 'stderr', fields })
  }

  #noteHealth(health: Health): void {
    if (health === 'not-serving' && this.#facts.health !== health)
      this.#logger.warn('plugin says it is not serving', {})
    this.#facts = { ...this.#facts, health }
  }

  /** The same reason is told once, however often it is found again. */
  #tellOnce(error: PluginError): void {
    const { name, required } = this.#entry
    if (this.#lastReason === error.message) return
    this.#lastReason = error.message
    this.#logger.error('plugin is not running', {
      code: error.code,
      reason: error.message,
      required: required !== false,
      ...(this.#state.at === 'failed' && { try_again: `sftpgo-ts plugin restart ${name}` }),
    })
  }

  #set(state: InstanceState): void {
    this.#state = state
    if (!this.#lastSettled()) return
    for (const resolve of this.#settled) resolve()
    this.#settled.clear()
  }

  #lastSettled(): boolean {
    const { at } = this.#state
    return (
      at === 'ready' ||
      at === 'waiting' ||
      at === 'failed' ||
      (at === 'stopped' && this.#state.why !== 'not-started')
    )
  }
}

/** Why an attempt ended: what would help is a better file, another process, or nothing but a person. */
interface Reason {
  readonly error: PluginError
  readonly kind: 'bytes' | 'process' | 'for-ever'
}

/** No other file helps: the configuration has to change. */
function isForEver(error: unknown): boolean {
  return (
    error instanceof PluginError &&
    ['checksum-missing', 'interpreter-unverified', 'plaintext-refused'].includes(error.code)
  )
}

function asPluginError(name: string, error: unknown): PluginError {
  if (error instanceof PluginError) return error
  return new PluginError('failed', `Cannot start "${name}": ${messageOf(error)}`, { cause: error })
}

/** The files whose change may help. */
function placesOf(entry: PluginEntry): string[] {
  const place = programPlaceOf(entry)
  return place.at === 'cmd' ? [place.path] : [place.path, place.interpreter]
}

function after(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve))
}

function onAbort(signal: AbortSignal, action: () => void): void {
  signal.addEventListener('abort', action, { once: true })
}
