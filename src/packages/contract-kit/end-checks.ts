import { familyOf } from '../../host/process-record.ts'
import { expectThat } from '../../slots/contract-case.ts'
import type { slots } from '../../slots/index.ts'
import type { Kit, KitCheck } from './kit-check.ts'
import { askToLeave } from './plugin-run.ts'
import { askUsual, passwordIn, usernameIn, attempt } from './questions.ts'
import { findSecrets, unreadableLogLine } from './said.ts'

/** What a plugin promises when it is told to leave, and what its words may not hold. These come last. */
export const endChecks: readonly KitCheck[] = [
  {
    promise: 'leaves within two seconds when it is told to, calls under way or not, and leaves nobody behind',
    async run(kit) {
      const run = await kit.run()
      const { slot, samples, canary } = kit
      const underWay = askUsual(slot, run.api, { secret: canary, samples }).catch(() => {})
      const took = await askToLeave(run, kit.budgets.leaveMs)
      await underWay
      expectThat(took !== undefined, `It was still there after ${kit.budgets.leaveMs} ms: hosts kill it then`)
      const left = await familyOf(run.marker)
      await run.end()
      kit.forget()
      expectThat(left.length === 0, `It left ${left.length} process(es) of its own behind`)
      const { code, signal } = run.process.exit ?? { code: null, signal: null }
      expectThat(
        code === 0,
        `It ended ${code === null ? `by ${signal}` : `with code ${code}`} although it was asked to leave`,
      )
      return 'kept'
    },
  },
  {
    promise: 'shows no secret, neither in its log nor in what it answers',
    async run(kit) {
      await sayPasswords(kit)
      const { all } = kit.said()
      // Only these two are told secrets: what a notifier or a filter hears, it may write.
      const told = kit.slot === 'auth' || kit.slot === 'kms' ? [kit.canary] : []
      const shown = findSecrets(all, [...told, ...kit.secrets])
      expectThat(shown === undefined, `It wrote a secret it was given, ${shown}`)
      return 'kept'
    },
  },
  {
    promise: 'writes log lines that every host can read',
    async run(kit) {
      await sayPasswords(kit).catch(() => {}) // whether it may say so is the promise before
      const line = unreadableLogLine(kit.said().log)
      expectThat(line === undefined, `${line}`)
      return 'kept'
    },
  },
]

/** Everything that may be told to whoever asks: refusals come back as text, a login that works is logged. */
async function sayPasswords(kit: Kit): Promise<void> {
  const { slot, samples, canary } = kit
  const run = await kit.run()
  const answer = await askUsual(slot, run.api, { secret: canary, samples }).catch((error: unknown) => error)
  const text = answer instanceof Error ? answer.message : JSON.stringify(answer, plain)
  expectThat(slot !== 'auth' || !(text ?? '').includes(canary), 'Its answer repeats the password')
  const password = passwordIn(samples)
  if (slot !== 'auth' || password === undefined) return
  const before = kit.said().all.length
  // The slot is auth, as just asked.
  const api = run.api as ReturnType<(typeof slots)['auth']['connect']>
  await api.checkPassword({ ...attempt(usernameIn(samples)), password }).catch(() => {})
  // What it writes about a login comes right after it.
  await new Promise((resolve) => setTimeout(resolve, 150))
  const about = kit.said().all.subarray(before).toString('utf8')
  const shown = password.length >= 4 && about.split(/[^\p{L}\p{N}]+/u).includes(password)
  expectThat(!shown, 'It wrote the password of somebody who logged in')
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
