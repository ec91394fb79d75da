import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock, type Clock } from '../base/clock.ts'
import { PluginError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { silentMeter, type Meter } from '../base/meter.ts'
import type { SlotApi, SlotName } from '../slots/index.ts'
import { openHostDeath, type HostDeath, type HostDeathWay } from './host-death.ts'
import { usualPace, type InstancePace, type InstanceSurroundings } from './instance-surroundings.ts'
import { Instance } from './instance.ts'
import type { ObservedCall } from './observed-call.ts'
import type { OutputRecord } from './output.ts'
import { sameProcess, type PluginEntry } from './plugin-entry.ts'
import { requireUniqueKeepers } from './key-keepers.ts'
import { statusOf, type PluginStatus } from './plugin-status.ts'
import { openProcessRecords } from './process-record.ts'

/** What a host is made of. */
export interface PluginHostOptions {
  /** In configured order, which is the order of asking. Names are unique. */
  readonly entries: readonly PluginEntry[]
  /** A folder of the server's own: what runs is written down there, and private copies are made there. */
  readonly stateFolder: string
  readonly log: Logger
  readonly meter?: Meter
  readonly clock?: Clock
  /** The server's environment; default `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Default 60 s. */
  readonly startTimeoutMs?: number
  /** Default `memory`. */
  readonly runFrom?: 'memory' | 'file'
  /** Whether entries marked `dev` may run without a checksum. Default false. */
  readonly allowDev?: boolean
  /** Whether entries may switch mutual TLS off. Default false. */
  readonly allowPlaintext?: boolean
  readonly pace?: Partial<InstancePace>
  /** Whoever fires this does not want the host any more: waiting for plugins that start ends. */
  readonly signal?: AbortSignal
  /** Hears of every call, passwords included: only for a throw-away server of an author. */
  readonly onCall?: (call: ObservedCall) => void
}

/** One configured and enabled plugin, as those see it who ask it. */
export interface FilledSlot<N extends SlotName> {
  readonly name: string
  /** With the settings in force now. */
  readonly entry: PluginEntry
  /** The contract, while a process is ready; ask each time and keep nothing. */
  readonly api: SlotApi<N> | undefined
  /** Why there is none. */
  readonly reason: PluginError | undefined
  onReady(action: () => void): () => void
}

/** What a reload did. */
export interface ReloadReport {
  readonly started: readonly string[]
  readonly replaced: readonly string[]
  readonly stopped: readonly string[]
  /** Entries that are not ready; a replaced plugin that cannot be replaced goes on running. */
  readonly problems: readonly {
    readonly name: string
    readonly reason: PluginError
    readonly oldRuns: boolean
  }[]
}

/**
 * Starts every enabled entry and resolves when each is ready or has a reason not to be.
 *
 * Throws, with everything closed again, when an entry that is `required` (the default) is not ready, or when the signal
 * fires before.
 */
export async function startPluginHost(options: PluginHostOptions): Promise<PluginHost> {
  const host = await openPluginHost(options)
  await settledOr(host, options.signal)
  if (options.signal?.aborted === true) {
    await host.close()
    throw new PluginError('stopped', 'The plugins were stopped while they started')
  }
  const missing = host
    .status()
    .filter(({ required, enabled, state }) => required && enabled && state !== 'ready')
  if (missing.length === 0) return host
  await host.close()
  const reasons = missing.map(({ name, reason }) => reason?.message ?? `"${name}" is not ready`)
  const code = missing[0]?.reason?.code ?? 'not-ready'
  throw new PluginError(
    code,
    `${reasons.join('; ')} (an entry with "required": false would not keep the server from starting)`,
  )
}

function settledOr(host: PluginHost, signal: AbortSignal | undefined): Promise<unknown> {
  if (signal === undefined) return host.settled()
  const gaveUp = new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  return Promise.race([host.settled(), gaveUp])
}

/** As `startPluginHost`, without waiting and without judging. */
export async function openPluginHost(options: PluginHostOptions): Promise<PluginHost> {
  const runFolder = join(options.stateFolder, 'run')
  const { records, ended } = openProcessRecords(join(options.stateFolder, 'plugins.json'))
  if (ended.length > 0) options.log.warn('plugins of an earlier server ended', { plugins: ended })
  // Copies that a crash left behind; those of running plugins cannot be here, since the folder is ours alone.
  rmSync(runFolder, { recursive: true, force: true })
  const hostDeath = await openHostDeath()
  const host = new PluginHost({
    runFolder,
    records,
    hostDeath,
    log: options.log,
    meter: options.meter ?? silentMeter,
    clock: options.clock ?? systemClock,
    environment: options.environment ?? process.env,
    runFrom: options.runFrom ?? 'memory',
    startTimeoutMs: options.startTimeoutMs ?? 60_000,
    allowDev: options.allowDev ?? false,
    allowPlaintext: options.allowPlaintext ?? false,
    pace: { ...usualPace, ...options.pace },
    ...(options.onCall !== undefined && { onCall: options.onCall }),
  })
  host.begin(options.entries)
  return host
}

/** All plugins of a server. */
export class PluginHost implements AsyncDisposable {
  readonly #around: InstanceSurroundings
  readonly #hostDeath: HostDeath
  readonly #readyListeners = new Set<(name: string) => void>()
  readonly #dialogues = new Map<string, Map<string, unknown>>()
  #instances: Instance[] = []
  #reloading: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(around: InstanceSurroundings) {
    this.#around = around
    this.#hostDeath = around.hostDeath
  }

  /** How plugins learn of the end of this process. */
  get hostDeathWay(): HostDeathWay {
    return this.#hostDeath.way
  }

  /** Starts the entries. Called once. */
  begin(entries: readonly PluginEntry[]): void {
    requireUniqueNames(entries)
    requireUniqueKeepers(entries)
    this.#instances = entries.map((entry) => this.#make(entry))
    for (const instance of this.#instances) instance.start()
  }

  /** Resolves when each entry is ready or has a reason not to be. */
  async settled(): Promise<void> {
    await Promise.all(this.#enabled().map((instance) => instance.settled()))
  }

  /** The enabled plugins of a slot, in configured order, ready or not. */
  configured<N extends SlotName>(slot: N): readonly FilledSlot<N>[] {
    return this.#enabled()
      .filter((instance) => instance.entry.type === slot)
      .map((instance) => filledSlot<N>(instance))
  }

  /** The contract of one plugin, as it is now. Throws `not-ready` with the reason when it cannot be asked. */
  ask<N extends SlotName>(slot: N, name: string): SlotApi<N> {
    const found = this.configured(slot).find((filled) => filled.name === name)
    if (found?.api !== undefined) return found.api
    const why = found?.reason === undefined ? '' : `: ${found.reason.message}`
    throw new PluginError('not-ready', `"${name}" cannot be asked now${why}`, { cause: found?.reason })
  }

  /** Those of them that are ready now. */
  filled<N extends SlotName>(slot: N): readonly (FilledSlot<N> & { readonly api: SlotApi<N> })[] {
    return this.configured(slot).flatMap((filled) => {
      const { api } = filled
      return api === undefined ? [] : [Object.assign(filled, { api })]
    })
  }

  /** Which process each running dialogue of an auth plugin belongs to. */
  dialoguesOf(name: string): Map<string, unknown> {
    const found = this.#dialogues.get(name) ?? new Map<string, unknown>()
    this.#dialogues.set(name, found)
    return found
  }

  /** Calls `action` with the name when any plugin becomes ready, whichever process fills it then. */
  onReady(action: (name: string) => void): () => void {
    this.#readyListeners.add(action)
    return () => this.#readyListeners.delete(action)
  }

  /** How every configured entry stands. */
  status(): PluginStatus[] {
    return this.#instances.map((instance) => statusOf(instance, this.#around.clock.now()))
  }

  /** Starts a plugin anew and forgives its failures. Resolves with how it stands then. */
  async restart(name: string): Promise<PluginStatus> {
    const instance = this.#named(name)
    await instance.restart()
    return statusOf(instance, this.#around.clock.now())
  }

  /** What a plugin said lately. */
  recentOutput(name: string): readonly OutputRecord[] {
    return [...this.#named(name).log.recent]
  }

  /** Calls `listener` for what a plugin says from now on. */
  followOutput(name: string, listener: (record: OutputRecord) => void): () => void {
    return this.#named(name).log.follow(listener)
  }

  /**
   * Takes another list of entries. Where a process has to change, the new one is ready before the old one drains;
   * one that does not become ready leaves the old one running. Filters that stayed read their lists again.
   */
  reload(entries: readonly PluginEntry[]): Promise<ReloadReport> {
    requireUniqueNames(entries)
    requireUniqueKeepers(entries)
    const next = this.#reloading.then(() => this.#reload(entries))
    this.#reloading = next.catch(() => {})
    return next
  }

  /** Stops every plugin, all at once, each in its own steps. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#reloading
    await Promise.all(this.#instances.map((instance) => instance.close()))
    this.#hostDeath.close()
    rmSync(this.#around.runFolder, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #reload(entries: readonly PluginEntry[]): Promise<ReloadReport> {
    const report = { started: [], replaced: [], stopped: [], problems: [] } as MutableReport
    const old = new Map(this.#instances.map((instance) => [instance.entry.name, instance]))
    const outcomes = await Promise.all(
      entries.map((entry) => this.#takeOver(entry, old.get(entry.name), report)),
    )
    const kept = new Set(outcomes)
    this.#instances = outcomes
    await Promise.all(
      [...old.values()].map(async (instance) => {
        if (kept.has(instance)) return
        const name = instance.entry.name
        if (!entries.some((entry) => entry.name === name) && instance.state.at !== 'stopped')
          report.stopped.push(name)
        await instance.close()
      }),
    )
    return report
  }

  /** The instance that stands for an entry after a reload. */
  async #takeOver(entry: PluginEntry, old: Instance | undefined, report: MutableReport): Promise<Instance> {
    if (old !== undefined && sameProcess(old.entry, entry) && isEnabled(old.entry) === isEnabled(entry)) {
      old.update(entry)
      // Also how an admin says "try again" to one that has given up.
      if (old.state.at === 'failed') await old.restart()
      await old.reloadLists()
      this.#noteProblem(old, false, report)
      return old
    }
    const next = this.#make(entry)
    if (!isEnabled(entry)) {
      if (old !== undefined && isEnabled(old.entry)) report.stopped.push(entry.name)
      return next
    }
    next.start()
    await next.settled()
    const works = next.state.at === 'ready'
    const oldRuns = old?.state.at === 'ready' && isEnabled(old.entry) && old.entry.type === entry.type
    if (works || !oldRuns) {
      if (works) (oldRuns ? report.replaced : report.started).push(entry.name)
      this.#noteProblem(next, false, report)
      return next
    }
    this.#noteProblem(next, true, report)
    await next.close()
    return old
  }

  #noteProblem(instance: Instance, oldRuns: boolean, report: MutableReport): void {
    const reason = instance.reason
    if (reason !== undefined) report.problems.push({ name: instance.entry.name, reason, oldRuns })
  }

  #make(entry: PluginEntry): Instance {
    const instance = new Instance(entry, this.#around)
    instance.onReady(() => {
      for (const listener of this.#readyListeners) listener(entry.name)
    })
    return instance
  }

  #enabled(): Instance[] {
    return this.#instances.filter(({ entry }) => isEnabled(entry))
  }

  #named(name: string): Instance {
    const found = this.#instances.find(({ entry }) => entry.name === name)
    if (found !== undefined) return found
    const names = this.#instances.map(({ entry }) => entry.name).join(', ')
    throw new PluginError('not-found', `There is no plugin "${name}"; there are: ${names || 'none'}`)
  }
}

interface MutableReport {
  readonly started: string[]
  readonly replaced: string[]
  readonly stopped: string[]
  readonly problems: { name: string; reason: PluginError; oldRuns: boolean }[]
}

function isEnabled(entry: PluginEntry): boolean {
  return entry.enabled !== false
}

function filledSlot<N extends SlotName>(instance: Instance): FilledSlot<N> {
  const { entry } = instance
  return {
    name: entry.name,
    entry,
    api: instance.api,
    reason: instance.reason,
    onReady: (action) => instance.onReady(action),
  }
}

function requireUniqueNames(entries: readonly PluginEntry[]): void {
  const seen = new Set<string>()
  for (const { name } of entries) {
    if (seen.has(name)) throw new PluginError('failed', `Two plugins have the name "${name}"`)
    seen.add(name)
  }
}
