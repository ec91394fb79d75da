import { systemClock, type Clock } from '../base/clock.ts'
import { PluginError } from '../base/errors.ts'
import { slots, type SlotName } from '../slots/index.ts'
import type { Channel, Health } from '../wire/client.ts'
import type { ServiceDescription } from '../wire/service.ts'
import { endLife, type LeftBy } from './end-life.ts'
import type { HostDeath } from './host-death.ts'
import { beginLife } from './life.ts'
import { createOutputReader, type OutputRecord } from './output.ts'
import type { PluginEntry } from './plugin-entry.ts'
import { verifiedCopy } from './verified-copy.ts'

/** How an entry is tried out, apart from any server. */
export interface ProbeOptions {
  readonly runFolder: string
  readonly runFrom: 'memory' | 'file'
  readonly startTimeoutMs: number
  readonly allowPlaintext: boolean
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly hostDeath: HostDeath
  readonly clock?: Clock
  /** Told each step as it is done. */
  readonly onStep: (step: ProbeStep) => void
  readonly onOutput?: (record: OutputRecord) => void
  readonly signal?: AbortSignal
}

/** One step of a probe that went well. */
export interface ProbeStep {
  readonly name: string
  readonly tookMs: number
  readonly detail: string
}

/**
 * Verifies an entry, launches it, shakes hands, asks for its health, finds out which methods it has, and stops it.
 *
 * Throws at the first step that fails, with nothing left behind. No method is really called: the questions are cut
 * off in the middle, which every gRPC server answers before its plugin's code sees them.
 */
export async function probePlugin(entry: PluginEntry, options: ProbeOptions): Promise<void> {
  const clock = options.clock ?? systemClock
  const tell = stepTeller(clock, options.onStep)
  if (entry.autoMtls === false && !options.allowPlaintext)
    throw new PluginError(
      'plaintext-refused',
      `Cannot start "${entry.name}": auto_mtls is false and plugin_host.allow_plaintext is not true`,
    )
  const program = await verifiedCopy(entry, { ...options, runFrom: entry.runFrom ?? options.runFrom })
  tell('verify', `${program.sha256}, runs from ${program.runsFrom}${warningOf(program.warning)}`)
  const life = await beginLife(entry, program, {
    ...options,
    clock,
    output: createOutputReader(options.onOutput ?? (() => {})),
    records: { add() {}, remove() {} },
    signal: options.signal ?? new AbortController().signal,
    onStep: (step, tookMs) => options.onStep({ name: step, tookMs, detail: details[step] }),
  })
  tell.skip()
  let leftBy: LeftBy
  try {
    tell('health', healthWords[await life.channel.health({ timeoutMs: 5000 })])
    tell('methods', await methodsOf(entry.type, life.channel))
  } finally {
    tell.skip()
    leftBy = await endLife(life, { clock })
  }
  tell('stop', `left through ${leftBy}`)
}

const details = {
  verify: '',
  launch: 'the process runs',
  'first line': 'is a handshake',
  connect: 'answers, with the certificate of its first line',
} as const

const healthWords: Readonly<Record<Health, string>> = {
  serving: 'serving',
  'not-serving': 'says it is not serving',
  unimplemented: 'has no health service; hangs show as missed deadlines',
}

function warningOf(warning: string | undefined): string {
  return warning === undefined ? '' : `; ${warning}`
}

function stepTeller(clock: Clock, onStep: (step: ProbeStep) => void) {
  let last = clock.monotonic()
  const tell = (name: string, detail: string): void => {
    const now = clock.monotonic()
    onStep({ name, tookMs: now - last, detail })
    last = now
  }
  return Object.assign(tell, {
    skip() {
      last = clock.monotonic()
    },
  })
}

async function methodsOf(slot: SlotName, channel: Channel): Promise<string> {
  const service: ServiceDescription = slots[slot].service
  const names = Object.values(service.methods).map((method) => method.name)
  const found = await Promise.all(
    Object.keys(service.methods).map((key) => isReachable(service, key, channel)),
  )
  const missing = names.filter((_, index) => found[index] !== true)
  if (missing.length === names.length)
    throw new PluginError(
      'unimplemented',
      `The plugin has no method of "${service.fullName}": it fills another slot`,
    )
  const has = names.filter((name) => !missing.includes(name)).join(', ')
  return missing.length === 0 ? `has ${has}` : `has ${has}; lacks ${missing.join(', ')}`
}

async function isReachable(service: ServiceDescription, key: string, channel: Channel): Promise<boolean> {
  const method = service.methods[key]
  if (method === undefined) return false
  // Field 1, said to be 127 bytes long, and nothing after it: no decoder takes that.
  const cut = { encode: () => ({ finish: () => Uint8Array.of(0x0a, 0x7f) }), decode: () => ({}) }
  const description = { ...service, methods: { ask: { ...method, requestType: cut, responseType: cut } } }
  // The caller is built from the description at run time; its type cannot know the made-up method.
  const caller = channel.caller(description, { timeoutMs: 5000 }) as unknown as {
    ask(request: object): Promise<unknown>
  }
  try {
    await caller.ask({})
    return true
  } catch (error) {
    if (!(error instanceof PluginError)) throw error
    if (error.code === 'exited' || error.code === 'deadline') throw error
    return error.code !== 'unimplemented'
  }
}
