import { messageOf } from '../base/errors.ts'
import type { ContractCase } from './contract-case.ts'
import { slots, type SlotApi, type SlotName, type SlotSamples } from './index.ts'

/** How one promise of the contract fared. */
export interface CaseResult {
  readonly promise: string
  readonly outcome: 'kept' | 'broken' | 'skipped'
  /** Why it was broken or skipped. */
  readonly why?: string
  readonly tookMs: number
}

/** The promises of a slot, as runnable cases. */
export function contractCases<N extends SlotName>(
  name: N,
): readonly ContractCase<SlotApi<N>, SlotSamples<N>>[] {
  return slots[name].cases
}

/** Runs every case of a slot against a plugin, one after the other. A case that does not end within `limitMs` is broken. */
export async function checkContract<N extends SlotName>(
  name: N,
  api: SlotApi<N>,
  samples: SlotSamples<N>,
  { limitMs = 10_000 }: { readonly limitMs?: number } = {},
): Promise<readonly CaseResult[]> {
  const results: CaseResult[] = []
  for (const one of contractCases(name)) results.push(await runCase(one, api, samples, limitMs))
  return results
}

/** Runs one case with a limit on its time. Never throws. */
export async function runCase<Api, Samples>(
  one: ContractCase<Api, Samples>,
  api: Api,
  samples: Samples,
  limitMs: number,
): Promise<CaseResult> {
  const { promise } = one
  const begin = performance.now()
  const took = () => Math.round(performance.now() - begin)
  try {
    const outcome = await withinLimit(one.run(api, samples), limitMs)
    if (outcome === 'kept') return { promise, outcome, tookMs: took() }
    return { promise, outcome: 'skipped', why: outcome.skipped, tookMs: took() }
  } catch (error) {
    return { promise, outcome: 'broken', why: messageOf(error), tookMs: took() }
  }
}

async function withinLimit<T>(running: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It took longer than ${limitMs} ms`)), limitMs)
  })
  try {
    return await Promise.race([running, late])
  } finally {
    clearTimeout(timer)
  }
}
