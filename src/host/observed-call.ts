import type { SlotApi, SlotName } from '../slots/index.ts'

/** A call to a plugin that is over, with what was asked and answered: for an author who watches, never for a log. */
export interface ObservedCall {
  readonly plugin: string
  readonly slot: SlotName
  readonly method: string
  readonly question: unknown
  readonly outcome: { readonly answer: unknown } | { readonly error: unknown }
  readonly tookMs: number
}

/** The same contract, whose calls are told to `tell` when they are over. */
export function observed<N extends SlotName>(
  api: SlotApi<N>,
  { plugin, slot }: { readonly plugin: string; readonly slot: SlotName },
  tell: (call: ObservedCall) => void,
): SlotApi<N> {
  const methods = Object.entries(api as Readonly<Record<string, Method>>) // a contract is a table of methods
  const watched = methods.map(([method, ask]) => {
    const run: Method = async (question, ...rest) => {
      const began = performance.now()
      const end = (outcome: ObservedCall['outcome']): void =>
        tell({ plugin, slot, method, question, outcome, tookMs: performance.now() - began })
      try {
        const answer = await ask(question, ...rest)
        end({ answer })
        return answer
      } catch (error) {
        end({ error })
        throw error
      }
    }
    return [method, run] as const
  })
  return Object.fromEntries(watched) as SlotApi<N> // the same methods under the same names
}

type Method = (...args: readonly unknown[]) => Promise<unknown>
