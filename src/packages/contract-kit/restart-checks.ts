import { PluginError } from '../../base/errors.ts'
import { expectThat, unlessMissing, type CaseOutcome } from '../../slots/contract-case.ts'
import type { SlotApi, SlotName } from '../../slots/index.ts'
import type { Kit, KitCheck } from './kit-check.ts'
import { isLost } from './plugin-run.ts'
import { attempt, notice, passwordIn, sealing, usernameIn } from './questions.ts'

/** What a plugin promises when its process is killed in the middle and another one takes its place. */
export const restartChecks: readonly KitCheck[] = [
  {
    promise: 'goes on safely when it is killed in the middle and started again',
    // The api is that of this very slot, as in `askUsual`.
    run: async (kit) =>
      (await acrossRestart[kit.slot]?.(kit)) ?? { skipped: `The kit has no question for slot "${kit.slot}"` },
  },
]

const acrossRestart: { readonly [N in SlotName]?: (kit: Kit) => Promise<CaseOutcome> } = {
  async auth(kit) {
    const before = await decisions(kit)
    await kit.fresh()
    const after = await decisions(kit)
    expectThat(before === after, 'Started again it answers otherwise')
    const dialogue = await unlessMissing('continueDialogue', () => strangersDialogue(kit))
    return before === undefined ? dialogue : 'kept'
  },
  notifier: (kit) =>
    unlessMissing('notifyFile', async () => {
      const { api } = await run<'notifier'>(kit)
      await api.notifyFile(notice, { metadata: { event_id: 'contract-kit' } })
      const again = await freshRun<'notifier'>(kit)
      await again.api.notifyFile(notice, { metadata: { event_id: 'contract-kit' } })
    }),
  async kms(kit) {
    const { api } = await run<'kms'>(kit)
    const sealed = await api.seal({ ...sealing(kit.samples), payload: kit.canary })
    const again = await freshRun<'kms'>(kit)
    const opened = await again.api
      .open({ ...sealing(kit.samples), ...sealed })
      .catch((error: unknown) => failureOnly(error))
    expectThat(opened === kit.canary, 'Started again it cannot open what it sealed before')
    return 'kept'
  },
  async ipfilter(kit) {
    const { allowed, refused } = kit.samples
    const { api } = await run<'ipfilter'>(kit)
    const questions = [allowed, refused, '192.0.2.1'].filter((one) => typeof one === 'string')
    const ask = (from: SlotApi<'ipfilter'>) =>
      Promise.all(questions.map(async (address) => (await from.check({ address, protocol: 'SSH' })).allowed))
    const before = await ask(api)
    const after = await ask((await freshRun<'ipfilter'>(kit)).api)
    expectThat(before.join() === after.join(), 'Started again it answers otherwise')
    return 'kept'
  },
}

/** What it says to the sample user, with the right password and with another; undefined when it checks none. */
async function decisions(kit: Kit): Promise<string | undefined> {
  const { api } = await run<'auth'>(kit)
  const asked = attempt(usernameIn(kit.samples))
  const said: unknown[] = []
  for (const password of [passwordIn(kit.samples) ?? kit.canary, kit.canary]) {
    try {
      said.push((await api.checkPassword({ ...asked, password })).granted)
    } catch (error) {
      if (!(error instanceof PluginError) || isLost(error)) throw error
      if (error.code === 'unimplemented') return undefined
      said.push(error.code)
    }
  }
  return said.join()
}

/** Whoever guesses or keeps the name of a dialogue must not come in by it. */
async function strangersDialogue(kit: Kit): Promise<void> {
  const { next, questions } = await begun(kit)
  const { api } = await freshRun<'auth'>(kit)
  const answers = questions.map(() => kit.canary)
  const step = { ...dialogue(kit), step: 2, answers, questions }
  if (next === 'ask') {
    const reply = await api.continueDialogue(step).catch(failureOnly)
    expectThat(reply?.next !== 'grant', 'It let somebody in whose first questions another process had asked')
  }
  const unknown = { ...step, dialogueId: 'nobody-began-this', username: 'nobody-has-this-name' }
  const reply = await api.continueDialogue(unknown).catch(failureOnly)
  expectThat(reply?.next !== 'grant', 'It let somebody in by a dialogue that nobody began')
}

async function begun(kit: Kit) {
  const { api } = await run<'auth'>(kit)
  const reply = await api.continueDialogue({ ...dialogue(kit), step: 1, answers: [], questions: [] })
  expectThat(reply.next !== 'grant', 'It let somebody in without a question')
  return { next: reply.next, questions: reply.next === 'ask' ? reply.questions.map(({ text }) => text) : [] }
}

function dialogue({ samples }: Kit) {
  const { username, address } = attempt(usernameIn(samples))
  return { dialogueId: 'contract-kit', username, address, password: '' }
}

/** A plugin may say that it does not know; it may not go away. */
function failureOnly(error: unknown): undefined {
  if (isLost(error) || !(error instanceof PluginError)) throw error
  return undefined
}

interface RunOf<N extends SlotName> {
  readonly api: SlotApi<N>
}

async function run<N extends SlotName>(kit: Kit): Promise<RunOf<N>> {
  return await kit.run() // each check is called for its own slot alone
}

async function freshRun<N extends SlotName>(kit: Kit): Promise<RunOf<N>> {
  return await kit.fresh() // as above
}
