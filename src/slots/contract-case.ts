import { PluginError } from '../base/errors.ts'

/** One promise of a contract, as something that can be run against any plugin. */
export interface ContractCase<Api, Samples> {
  /** The promise, as a sentence. */
  readonly promise: string
  /** Throws when the promise is broken. */
  run(api: Api, samples: Samples): Promise<CaseOutcome>
}

/** `skipped` says what would be needed to look. */
export type CaseOutcome = 'kept' | { readonly skipped: string }

/** Throws with `message` unless the statement is true. */
export function expectThat(statement: boolean, message: string): asserts statement {
  if (!statement) throw new Error(message)
}

/** Runs a case, skipping it when the plugin has no such method. */
export async function unlessMissing(method: string, run: () => Promise<void>): Promise<CaseOutcome> {
  try {
    await run()
    return 'kept'
  } catch (error) {
    if (error instanceof PluginError && error.code === 'unimplemented')
      return { skipped: `The plugin has no ${method}` }
    throw error
  }
}

/** Throws unless `ask` fails with a `PluginError`: a failure with a reason, no silence and no wrong value. */
export async function expectFailure(ask: Promise<unknown>, message: string): Promise<void> {
  const outcome = await ask.then(
    () => 'answered' as const,
    (error: unknown) => error,
  )
  expectThat(outcome !== 'answered', message)
  if (!(outcome instanceof PluginError)) throw outcome
}

/** Asks so often at once. Throws when one of the answers differs from the others. */
export async function askAtOnce<T>(times: number, ask: () => Promise<T>): Promise<void> {
  const answers = await Promise.all(Array.from({ length: times }, ask))
  const texts = new Set(answers.map((answer) => JSON.stringify(answer)))
  expectThat(
    texts.size === 1,
    `${times} equal questions at once were answered in ${texts.size} different ways`,
  )
}

/** Gives up a call at once. Throws when the call does not end soon after; how it ends is its own affair. */
export async function expectToEndWhenCancelled(
  ask: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const controller = new AbortController()
  const asked = ask(controller.signal).then(
    () => true,
    () => true,
  )
  controller.abort()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), 1_000)
  })
  const ended = await Promise.race([asked, late])
  clearTimeout(timer)
  expectThat(ended, 'A call that was given up did not end within a second')
}

/** Texts that break what was built for letters and small sizes. */
export const oddTexts: readonly string[] = [
  '',
  ' ',
  'ünïcödé-日本-🦆',
  'o\'brien"; DROP TABLE users; --',
  '../../etc/passwd',
  'line\nbreak\r\ttab',
  '%s%n{{7*7}}${HOME}$(id)',
  '*)(uid=*',
  '\u202egnp.exe',
  'x'.repeat(4_096),
]
