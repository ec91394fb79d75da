import { randomBytes } from 'node:crypto'
import { messageOf } from '../../base/errors.ts'
import type { HostDeath } from '../../host/host-death.ts'
import { contractCases, runCase, type CaseResult } from '../../slots/check-contract.ts'
import type { CaseOutcome, ContractCase } from '../../slots/contract-case.ts'
import { slots } from '../../slots/index.ts'
import type { BuiltPlugin } from '../build-plugin.ts'
import { callChecks } from './call-checks.ts'
import { endChecks } from './end-checks.ts'
import type { Kit, KitBudgets, KitCheck } from './kit-check.ts'
import { startRun, type PluginRun, type RunRequest } from './plugin-run.ts'
import { restartChecks } from './restart-checks.ts'
import { startChecks } from './start-checks.ts'

/** What is held against its contract, and how. */
export interface KitOptions {
  readonly plugin: BuiltPlugin
  /** As the plugin gets them: defaults filled in. */
  readonly settings: Readonly<Record<string, unknown>>
  /** Values of the settings that are secrets. */
  readonly secrets: readonly string[]
  /** Names of variables that the plugin asks for. */
  readonly environment: readonly string[]
  /** A private folder. */
  readonly folder: string
  readonly hostDeath: HostDeath
  readonly budgets?: Partial<KitBudgets>
  /** Looks only at promises that begin with this. */
  readonly only?: string
  /** Told each promise as it is looked at. */
  readonly onResult?: (result: KitResult) => void
}

/** A promise, what it is about, and how it fared. */
export interface KitResult extends CaseResult {
  readonly about: 'process' | 'contract'
}

/** The whole report, as `--report` writes it. */
export interface KitReport {
  readonly plugin: string
  readonly slot: string
  readonly kept: number
  readonly broken: number
  readonly skipped: number
  readonly results: readonly KitResult[]
}

/** No check may take longer; most take milliseconds. */
const longestCheckMs = 30_000

/** Runs every check over a plugin. Never throws for what the plugin does: that is in the report. */
export async function runContractKit(options: KitOptions): Promise<KitReport> {
  const { plugin } = options
  const opened = openKit(options)
  const { kit } = opened
  const results: KitResult[] = []
  const note = (result: KitResult): void => {
    results.push(result)
    options.onResult?.(result)
  }
  try {
    const began = await kit.run().then(
      () => undefined,
      (error: unknown) => messageOf(error),
    )
    if (began !== undefined) {
      note({ about: 'process', promise: 'starts', outcome: 'broken', why: began, tookMs: 0 })
    } else {
      const checks = [...startChecks, ...contractChecks(kit), ...callChecks, ...restartChecks, ...endChecks]
      for (const check of checks)
        if (check.promise.startsWith(options.only ?? '')) note(await runCheck(check, kit))
    }
  } finally {
    await opened.close()
  }
  const count = (outcome: CaseResult['outcome']): number =>
    results.filter((result) => result.outcome === outcome).length
  return {
    ...{ plugin: plugin.name, slot: plugin.slot, results },
    ...{ kept: count('kept'), broken: count('broken'), skipped: count('skipped') },
  }
}

async function runCheck(check: KitCheck & { readonly about?: 'contract' }, kit: Kit): Promise<KitResult> {
  const one: ContractCase<Kit, undefined> = { promise: check.promise, run: () => watched(check, kit) }
  return { about: check.about ?? 'process', ...(await runCase(one, kit, undefined, longestCheckMs)) }
}

/** A process that ends while it is asked breaks the promise, whatever was answered. */
async function watched(check: KitCheck, kit: Kit): Promise<CaseOutcome> {
  try {
    const outcome = await check.run(kit)
    const fate = kit.fate()
    if (fate !== undefined) throw new Error(`Its process ended, ${fate}`)
    return outcome
  } catch (error) {
    const fate = await settledFate(kit)
    const said = messageOf(error)
    if (fate === undefined || said.includes('process ended')) throw error
    throw new Error(`${said} (its process ended, ${fate})`, { cause: error })
  }
}

/** The end of a connection is heard of before the end of the process. */
async function settledFate(kit: Kit): Promise<string | undefined> {
  for (let look = 0; look < 20 && kit.fate() === undefined; look += 1)
    await new Promise((resolve) => setTimeout(resolve, 10))
  return kit.fate()
}

/** The contract of the slot, each case asked of the process that is there. */
function contractChecks(kit: Kit): (KitCheck & { readonly about: 'contract' })[] {
  // Each case gets the api of its own slot: both come from the same name.
  const cases = contractCases(kit.slot) as readonly ContractCase<unknown, unknown>[]
  return cases.map((one) => ({
    about: 'contract' as const,
    promise: one.promise,
    run: async () => one.run((await kit.run()).api, kit.samples),
  }))
}

/** A process that cannot be asked any more is of no use to the checks that follow. */
function isThere(run: PluginRun | undefined): run is PluginRun {
  return run !== undefined && run.process.exit === undefined && run.channel.isOpen
}

function openKit(options: KitOptions): { readonly kit: Kit; close(): Promise<void> } {
  const { plugin } = options
  const all: Buffer[] = []
  const log: Buffer[] = []
  let bytesKept = 0
  const request: RunRequest = {
    ...{ plugin, settings: options.settings, environment: options.environment },
    ...{ runFolder: options.folder, hostDeath: options.hostDeath },
    startTimeoutMs: Math.max(30_000, options.budgets?.startMs ?? 0),
    onOutput(bytes, stream) {
      // A plugin that shouts is not heard to the end.
      if (bytesKept > 64 << 20) return
      bytesKept += bytes.length
      all.push(bytes)
      if (stream === 'stderr') log.push(bytes)
    },
  }
  let current: PluginRun | undefined
  const start = async (): Promise<PluginRun> => {
    await current?.end()
    current = undefined
    current = await startRun(request)
    return current
  }
  const kit: Kit = {
    ...{ slot: plugin.slot, samples: plugin.fixtures.samples, secrets: options.secrets, request },
    canary: `canary-${randomBytes(12).toString('hex')}`,
    budgets: {
      startMs: 10_000,
      answerMs: slots[plugin.slot].callTimeoutMs / 2,
      leaveMs: 2_000,
      ...options.budgets,
    },
    run: async () => (isThere(current) ? current : start()),
    fresh: start,
    forget() {
      current = undefined
    },
    said: () => ({ all: Buffer.concat(all), log: Buffer.concat(log) }),
    fate() {
      const exit = current?.process.exit
      if (exit === undefined) return undefined
      return exit.code === null ? `by ${exit.signal}` : `with code ${exit.code}`
    },
  }
  return { kit, close: async () => void (await current?.end()) }
}
