import type { ContractCase } from '../contract-case.ts'
import { askAtOnce, expectThat, expectToEndWhenCancelled, oddTexts, unlessMissing } from '../contract-case.ts'
import type { Authenticator, PasswordAttempt, Verdict } from './contract.ts'

/** What the cases want to know about an authenticator. */
export interface AuthSamples {
  /** A user that it lets in. */
  readonly accepted?: { readonly username: string; readonly password: string }
  /** A key that it lets in. */
  readonly acceptedKey?: { readonly username: string; readonly publicKey: string }
}

/** The promises of an authenticator. */
export const authCases: readonly ContractCase<Required<Authenticator>, AuthSamples>[] = [
  {
    promise: 'lets the right user in with the right password',
    async run(api, { accepted }) {
      if (accepted === undefined) return { skipped: 'Needs the sample "accepted"' }
      const verdict = await api.checkPassword(attempt(accepted.username, accepted.password))
      expectThat(verdict.granted, `"${accepted.username}" was refused with the right password`)
      return 'kept'
    },
  },
  {
    promise: 'refuses a wrong password, and says so as an answer',
    async run(api, { accepted }) {
      if (accepted === undefined) return { skipped: 'Needs the sample "accepted"' }
      for (const password of wrongPasswords(accepted.password)) {
        const verdict = await api.checkPassword(attempt(accepted.username, password))
        expectThat(!verdict.granted, `"${accepted.username}" was let in with a wrong password`)
      }
      return 'kept'
    },
  },
  {
    promise: 'refuses a name that nobody has',
    run: (api) =>
      unlessMissing('checkPassword', async () => {
        const verdict = await api.checkPassword(attempt('nobody-has-this-name', 'nor this password'))
        expectThat(!verdict.granted, 'An unknown name was let in')
      }),
  },
  {
    promise: 'refuses an empty password',
    run: (api, { accepted }) =>
      unlessMissing('checkPassword', async () => {
        const verdict = await api.checkPassword(attempt(accepted?.username ?? 'nobody-has-this-name', ''))
        expectThat(!verdict.granted, 'An empty password was let in')
      }),
  },
  {
    promise: 'answers odd names and passwords',
    run: (api) =>
      unlessMissing('checkPassword', async () => {
        for (const text of oddTexts) {
          expectThat(
            !(await api.checkPassword(attempt(text, text))).granted,
            `${JSON.stringify(text)} was let in`,
          )
        }
      }),
  },
  {
    promise: 'answers a password of a megabyte',
    run: (api) =>
      unlessMissing('checkPassword', async () => {
        const verdict = await api.checkPassword(attempt('nobody-has-this-name', 'x'.repeat(1 << 20)))
        expectThat(!verdict.granted, 'A password of a megabyte was let in')
      }),
  },
  {
    promise: 'lets the right user in with the right key, and nobody with another',
    async run(api, { acceptedKey }) {
      if (acceptedKey === undefined) return { skipped: 'Needs the sample "acceptedKey"' }
      const { username, publicKey } = acceptedKey
      const right = await api.checkPublicKey({ ...attempt(username), publicKey })
      expectThat(right.granted, `"${username}" was refused with the right key`)
      const wrong = await api.checkPublicKey({ ...attempt(username), publicKey: otherKey })
      expectThat(!wrong.granted, `"${username}" was let in with another key`)
      return 'kept'
    },
  },
  {
    promise: 'answers two hundred equal questions at once in one way',
    run: (api, { accepted }) =>
      unlessMissing('checkPassword', () => {
        const { username, password } = accepted ?? { username: 'nobody-has-this-name', password: 'x' }
        return askAtOnce(200, async () => decision(await api.checkPassword(attempt(username, password))))
      }),
  },
  {
    promise: 'never mixes up two users that ask at once',
    async run(api, { accepted }) {
      if (accepted === undefined) return { skipped: 'Needs the sample "accepted"' }
      const right = attempt(accepted.username, accepted.password)
      const wrong = attempt('nobody-has-this-name', accepted.password)
      const verdicts = await Promise.all(
        Array.from({ length: 100 }, (_, index) => api.checkPassword(index % 2 === 0 ? right : wrong)),
      )
      const mixed = verdicts.some((verdict, index) => verdict.granted !== (index % 2 === 0))
      expectThat(!mixed, 'One user got the answer of another')
      return 'kept'
    },
  },
  {
    promise: 'survives a question that was given up',
    run: (api) =>
      unlessMissing('checkPassword', async () => {
        const question = attempt('nobody-has-this-name', 'x')
        await expectToEndWhenCancelled((signal) => api.checkPassword(question, { signal }))
        expectThat(!(await api.checkPassword(question)).granted, 'An unknown name was let in')
      }),
  },
  {
    promise: 'begins a dialogue with a question or an answer',
    run: (api) =>
      unlessMissing('continueDialogue', async () => {
        const { username, address } = attempt('nobody-has-this-name')
        const step = {
          dialogueId: 'contract-case',
          step: 1,
          username,
          address,
          password: '',
          answers: [],
          questions: [],
        }
        const reply = await api.continueDialogue(step)
        expectThat(reply.next !== 'grant', 'An unknown name was let in without a question')
      }),
  },
  {
    promise: 'refuses wrong answers in a dialogue, and comes to an end',
    run: (api, { accepted }) =>
      unlessMissing('continueDialogue', async () => {
        const { username, address } = attempt(accepted?.username ?? 'nobody-has-this-name')
        let questions: readonly string[] = []
        // No host goes on for longer.
        for (let step = 1; step <= longestDialogue; step += 1) {
          const answers = questions.map(() => 'no answer to this')
          const asked = { dialogueId: 'contract-case-wrong', step, username, address, password: '' }
          const reply = await api.continueDialogue({ ...asked, answers, questions })
          expectThat(reply.next !== 'grant', `"${username}" was let in by wrong answers`)
          if (reply.next !== 'ask') return
          questions = reply.questions.map(({ text }) => text)
          expectThat(questions.length > 0, 'It asks without a question')
        }
        throw new Error(`It still asks after ${longestDialogue} steps`)
      }),
  },
]

const longestDialogue = 20

function attempt(username: string, password = ''): PasswordAttempt {
  return { username, password, address: '192.0.2.1', protocol: 'SSH', user: { id: 0, username } }
}

function wrongPasswords(right: string): string[] {
  const swapped = right === right.toUpperCase() ? right.toLowerCase() : right.toUpperCase()
  return [`${right}x`, right.slice(0, -1), `${right} `, `${right}\0`, swapped].filter(
    (text) => text !== right,
  )
}

function decision(verdict: Verdict) {
  return { granted: verdict.granted, username: verdict.granted ? verdict.user?.username : undefined }
}

const otherKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
