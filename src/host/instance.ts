import { PluginError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { connectSlot, type SlotApi, type SlotChannel, type SlotName } from '../slots/index.ts'
import type { Health } from '../wire/client.ts'
import { createCallGate, type CallGate, type EndedCall } from './call-gate.ts'
import { createCallTally, type CallTally } from './call-tally.ts'
import { endLife } from './end-life.ts'
import { withheldNames } from './environment.ts'
import { fingerprintOf } from './file-fingerprint.ts'
import { exitText } from './first-line.ts'
import { createInstanceMeters } from './instance-meters.ts'
import type { InstanceState } from './instance-state.ts'
import type { InstanceSurroundings } from './instance-surroundings.ts'
import { beginLife, type Life } from './life.ts'
import { observed } from './observed-call.ts'
import { createOutputReader } from './output.ts'
import { createPause, type Pause } from './pause.ts'
import { callTimeoutOf, type PluginEntry } from './plugin-entry.ts'
import { createPluginLog, type PluginLog } from './plugin-log.ts'
import { placesOf } from './program.ts'
import { RestartPolicy } from './restart-policy.ts'
import { asPluginError, helpedBy, type StopReason } from './stop-reason.ts'
import { supervise } from './supervise.ts'
import { verifiedCopy, type VerifiedProgram } from './verified-copy.ts'

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
  readonly #policy: RestartPolicy
  readonly #meters: ReturnType<typeof createInstanceMeters>
  readonly #tally: CallTally
  readonly #readyListeners = new Set<() => void>()
  readonly #settled = new Set<() => void>()
  #entry: PluginEntry
  #state: InstanceState
  #stop = new AbortController()
  #running: Promise<void> | undefined
  /** Nothing starts any more: a restart that was under way must not bring back what was given up. */
  #closed = false
  #pause: Pause | undefined
  #api: SlotApi<N> | undefined
  #gate: CallGate | undefined
  /** It runs and said itself that it cannot answer: a failed reload. */
  #unable: PluginError | undefined
  #lastError: PluginError | undefined
  #facts: Omit<InstanceFacts, 'calls'> = { starts: 0 }
  /** What was told last: the same reason is told once, however often it is found again. */
  #told = ''

  constructor(entry: PluginEntry, around: InstanceSurroundings) {
    this.#entry = entry
    this.#around = around
    this.#logger = around.log.with({ plugin: entry.name, slot: entry.type })
    this.#policy = new RestartPolicy(around.pace, around.clock)
    this.#tally = createCallTally(around.clock)
    this.#meters = createInstanceMeters(around.meter, entry.name, entry.type)
    const why = entry.enabled === false ? 'disabled' : 'not-started'
    this.#state = { at: 'stopped', since: around.clock.now(), why }
    this.log = createPluginLog(() => this.#entry.logLevel ?? 'info', this.#logger)
  }

  get entry(): PluginEntry {
    return this.#entry
  }

  get state(): InstanceState {
    return this.#state
  }

  get facts(): InstanceFacts {
    const { answered, failed } = this.#tally
    const calls = { running: this.#gate?.running ?? 0, waiting: this.#gate?.waiting ?? 0, answered, failed }
    return { ...this.#facts, calls }
  }

  /** The contract of the process that is ready now. Ask each time and keep nothing. */
  get api(): SlotApi<N> | undefined {
    return this.#unable === undefined ? this.#api : undefined
  }

  /** Why it cannot be asked; while it is being tried again, why it could not be before. */
  get reason(): PluginError | undefined {
    return this.#state.at === 'stopped' ? undefined : (this.#unable ?? this.#lastError)
  }

  /** Calls `action` each time a process becomes ready; the returned function ends that. */
  onReady(action: () => void): () => void {
    this.#readyListeners.add(action)
    return () => this.#readyListeners.delete(action)
  }

  /** Begins to run, if it is enabled. */
  start(): void {
    if (this.#closed || this.#entry.enabled === false || this.#running !== undefined) return
    this.#stop = new AbortController()
    this.#running = this.#run(this.#stop.signal)
  }

  /** Resolves when it is ready or has a reason not to be. */
  settled(): Promise<void> {
    if (isSettled(this.#state)) return Promise.resolve()
    return new Promise((resolve) => this.#settled.add(resolve))
  }

  /** Takes over settings that need no other process. */
  update(entry: PluginEntry): void {
    this.#entry = entry
  }

  /** Ends the process if there is one and starts again, forgiving all failures. Resolves when that is settled. */
  async restart(): Promise<void> {
    this.#policy.forgive()
    if (this.#pause !== undefined) {
      const settled = new Promise<void>((resolve) => this.#settled.add(resolve))
      this.#pause.end()
      return settled
    }
    await this.#halt()
    this.start()
    return this.settled()
  }

  /** Ends it for ever: no new calls, those under way may end, then the process leaves. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#halt()
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
    } catch (cause) {
      if (cause instanceof PluginError && cause.code === 'unimplemented') return
      const reason = `"${this.#entry.name}" could not reload: ${messageOf(cause)}`
      this.#unable = new PluginError('failed', reason, { cause })
      this.#logger.error('plugin cannot answer', { code: 'failed', reason })
    }
  }

  async #halt(): Promise<void> {
    this.#stop.abort()
    const running = this.#running
    await running
    // Somebody else may have waited for the same end and have started anew.
    if (this.#running === running) this.#running = undefined
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#set({ at: 'verifying', since: this.#around.clock.now() })
      // Before the bytes are read: a change from here on is a reason to read them again.
      const before = await fingerprintOf(placesOf(this.#entry))
      const reason = await this.#attempt(signal)
      if (reason === undefined || signal.aborted) break
      await this.#pauseAfter(reason, signal, before)
    }
    this.#set({ at: 'stopped', since: this.#around.clock.now(), why: 'closed' })
  }

  /** Verifies, starts and watches once. Resolves with why it did not go on, or undefined when it was stopped. */
  async #attempt(signal: AbortSignal): Promise<StopReason | undefined> {
    const { name } = this.#entry
    let step: StopReason['helpedBy'] = 'bytes'
    try {
      const program = await this.#verify()
      step = 'time'
      if (signal.aborted || !this.#policy.mayStart()) {
        await program.close()
        return signal.aborted ? undefined : { error: this.#tooManyStarts(), helpedBy: 'people' }
      }
      const error = await this.#live(program, signal)
      return error === undefined ? undefined : { error, helpedBy: step }
    } catch (error) {
      if (signal.aborted) return undefined
      return { error: asPluginError(name, error), helpedBy: helpedBy(error, step) }
    }
  }

  #verify(): Promise<VerifiedProgram> {
    const { allowDev, allowPlaintext, runFolder, runFrom } = this.#around
    const entry = this.#entry
    if (entry.autoMtls === false && !allowPlaintext)
      throw new PluginError(
        'plaintext-refused',
        `Cannot start "${entry.name}": auto_mtls is false and plugin_host.allow_plaintext is not true`,
      )
    const trustAnyBytes = entry.dev === true && allowDev
    return verifiedCopy(entry, { runFolder, runFrom: entry.runFrom ?? runFrom, trustAnyBytes })
  }

  /** A process from its start to its end. Undefined when it was stopped. */
  async #live(program: VerifiedProgram, signal: AbortSignal): Promise<PluginError | undefined> {
    const { clock } = this.#around
    this.#noteProgram(program)
    this.#set({ at: 'starting', since: clock.now() })
    const { log } = this
    const life = await beginLife(this.#entry, program, {
      ...this.#around,
      signal,
      output: createOutputReader((record) => log.add(record)),
      onProcess: ({ pid }) => this.#set({ at: 'starting', since: clock.now(), pid }),
    }).catch((error: unknown) => {
      this.#meters.start(error instanceof PluginError ? error.code : 'failed')
      throw error
    })
    const began = clock.monotonic()
    this.#beReady(life)
    const reason = await this.#watch(life, signal)
    this.#api = undefined
    // Who asks before the next state is set hears why.
    this.#lastError = reason
    this.#policy.noteLife(clock.monotonic() - began)
    await (reason === undefined ? this.#leave(life) : this.#abandon(life, reason))
    if (life.process.exit !== undefined)
      this.#facts = { ...this.#facts, lastExit: exitText(life.process.exit) }
    return reason
  }

  #beReady(life: Life): void {
    const { clock } = this.#around
    const { name, type, limits, unknownStatus } = this.#entry
    const timeoutMs = callTimeoutOf(this.#entry)
    this.#gate = createCallGate({
      ...{ name, clock, timeoutMs, atOnce: limits?.calls ?? 64, inLine: limits?.queue ?? 1024 },
      onEnd: (call) => this.#noteCall(call),
      onTurnedAway: (why) => this.#meters.turnedAway(why),
    })
    this.#tally.startOver()
    this.#unable = undefined
    // The entry's type is this instance's slot: the host makes each instance for the slot it is asked for.
    const { onCall } = this.#around
    const api = connectSlot(type, onCall === undefined ? life.channel : oneByOne(life.channel), {
      ...{ timeoutMs, around: this.#gate.around },
      ...(unknownStatus !== undefined && { unknownStatus }),
    }) as SlotApi<N>
    this.#api = onCall === undefined ? api : observed(api, { plugin: name, slot: type }, onCall)
    this.#set({ at: 'ready', since: clock.now(), pid: life.process.pid })
    this.#told = ''
    this.#lastError = undefined
    this.#meters.start('ready')
    this.#logger.info('plugin ready', { pid: life.process.pid, runs_from: this.#facts.runsFrom })
    for (const listener of this.#readyListeners) listener()
  }

  #watch(life: Life, signal: AbortSignal): Promise<PluginError | undefined> {
    const { clock, pace } = this.#around
    const { name, limits } = this.#entry
    return supervise(life, {
      ...{ name, clock, signal, memoryBytes: limits?.memoryBytes ?? 0 },
      calls: () => {
        const { missedInARow, silentMs } = this.#tally
        return { missedInARow, silentMs, running: this.#gate?.running ?? 0 }
      },
      onHealth: (health) => this.#noteHealth(health),
      ...(pace.supervision !== undefined && { pace: pace.supervision }),
    })
  }

  /** It is to stop: calls under way may end within their deadline. */
  async #leave(life: Life): Promise<void> {
    const { clock, pace } = this.#around
    this.#set({ at: 'stopping', since: clock.now(), pid: life.process.pid })
    const drained = this.#gate?.close(new PluginError('stopped', `"${this.#entry.name}" is being stopped`))
    const patience = new Promise<void>((resolve) => void clock.after(callTimeoutOf(this.#entry), resolve))
    await Promise.race([drained, life.process.exited, patience])
    const leftBy = await endLife(life, { clock, ...(pace.stop !== undefined && { pace: pace.stop }) })
    this.#logger.info('plugin stopped', { left_by: leftBy })
  }

  /** It has to end: calls under way hear why, and nothing is asked of it any more. */
  async #abandon(life: Life, reason: PluginError): Promise<void> {
    void this.#gate?.close(reason)
    await life.channel.close(reason)
    await endLife(life, { clock: this.#around.clock, hung: true })
  }

  async #pauseAfter({ error, helpedBy: by }: StopReason, signal: AbortSignal, before: string): Promise<void> {
    const { clock, pace } = this.#around
    const pause = createPause(clock, signal)
    const since = clock.now()
    this.#pause = pause
    this.#lastError = error
    try {
      if (by === 'people') {
        this.#set({ at: 'failed', since, reason: error })
        this.#tell(error)
        return await pause.over(undefined)
      }
      const waitMs = by === 'bytes' ? pace.hashAgainMs : this.#policy.waitMs()
      this.#set({ at: 'waiting', since, until: since + waitMs, reason: error })
      this.#tell(error)
      const files = { paths: placesOf(this.#entry), everyMs: pace.lookAgainMs, before }
      await pause.over(waitMs, by === 'bytes' ? files : undefined)
    } finally {
      this.#pause = undefined
    }
  }

  #tooManyStarts(): PluginError {
    const { name } = this.#entry
    return new PluginError(
      'too-many-restarts',
      `"${name}" was started ${this.#policy.limit} and ended each time, last because: ${this.#told}; "sftpgo-ts plugin restart ${name}" tries again`,
    )
  }

  #noteProgram({ runsFrom, sha256, warning }: VerifiedProgram): void {
    const { starts, lastExit } = this.#facts
    this.#facts = {
      ...{ starts: starts + 1, runsFrom, sha256 },
      ...(warning !== undefined && { warning }),
      ...(lastExit !== undefined && { lastExit }),
    }
    if (warning !== undefined) this.#logger.warn('plugin not wholly verified', { warning })
    const { envVars = [], dev } = this.#entry
    const unverified = dev === true && this.#around.allowDev
    const withheld = withheldNames({ envVars, unverified }, this.#around.environment)
    if (withheld.length > 0)
      this.#logger.warn('variables not passed to plugin', {
        names: withheld,
        reason: 'they would make it run other code than the verified',
      })
  }

  #noteCall(call: EndedCall): void {
    const { logLevel } = this.#entry
    const { clock } = this.#around
    this.#tally.note(call)
    this.#meters.call(call)
    if (logLevel !== 'trace') return
    const fields = {
      ...{ method: `${call.service}/${call.method}`, outcome: call.outcome },
      took_ms: Math.round(call.tookMs * 100) / 100,
    }
    this.log.add({ timeMs: clock.now(), level: 'trace', message: 'plugin call', stream: 'stderr', fields })
  }

  #noteHealth(health: Health): void {
    if (health === 'not-serving' && this.#facts.health !== health)
      this.#logger.warn('plugin says it is not serving', {})
    this.#facts = { ...this.#facts, health }
  }

  #tell(error: PluginError): void {
    const { name, required } = this.#entry
    if (this.#told === error.message) return
    this.#told = error.message
    this.#logger.error('plugin is not running', {
      code: error.code,
      reason: error.message,
      required: required !== false,
      ...(this.#state.at === 'failed' && { try_again: `sftpgo-ts plugin restart ${name}` }),
    })
  }

  #set(state: InstanceState): void {
    this.#state = state
    this.#meters.state(state.at)
    if (!isSettled(state)) return
    for (const resolve of this.#settled) resolve()
    this.#settled.clear()
  }
}

/** Whether a start came to an end, good or bad. */
function isSettled(state: InstanceState): boolean {
  if (state.at === 'stopped') return state.why !== 'not-started'
  return state.at === 'ready' || state.at === 'waiting' || state.at === 'failed'
}

/** Where an author watches, each event is a call of its own. */
function oneByOne(channel: SlotChannel): SlotChannel {
  return { caller: (service, options) => channel.caller(service, options), announced: () => undefined }
}
