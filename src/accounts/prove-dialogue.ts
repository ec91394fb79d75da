import { randomBytes } from 'node:crypto'
import type { DialogueReply, DialogueStep } from '../slots/auth/contract.ts'
import { scopeOf, walkAuthenticators, type ConfiguredAuthenticator } from './authenticators.ts'
import { completeUser, surroundingsOf } from './complete-user.ts'
import { hasSecondFactor } from './conditions.ts'
import type { AskClient, QuestionPage } from './login-conversation.ts'
import { mostPasswordBytes } from './password.ts'
import { dialoguePassword, questionRecord } from './plugin-question.ts'
import { note, proofOfWalk, refused, type Attempt, type Proof, type Refused } from './proof.ts'
import { checkStored, provePassword } from './prove-password.ts'
import type { User } from './user.ts'
import { within } from './within.ts'

/** Rounds of questions in one dialogue at most, the server's own included. */
const mostRounds = 10
const mostQuestions = 20
const mostTextLength = 4096

/** First pages of plugins, shown as a decoy to names that a plugin does not want to ask. */
export type FirstPages = Map<string, QuestionPage>

/** What a dialogue needs beside the attempt. */
export interface DialogueContext {
  readonly ask: AskClient
  /** The key was proved before: a second factor alone is asked then. */
  readonly afterKey: boolean
  readonly firstPages: FirstPages
  /**
   * Waits until the moment at which first pages are shown, whoever is asked: a plugin makes a page for a name that
   * it knows, and none for the others.
   */
  readonly untilFirstPage: () => Promise<void>
}

/** Asks the client, through the plugin that answers for dialogues or with the server's own questions. */
export async function proveDialogue(attempt: Attempt, context: DialogueContext): Promise<Proof> {
  const asker = createAsker(context.ask)
  const dialogues = attempt.plugins.filter(({ scope }) => (scope & scopeOf['keyboard-interactive']) !== 0)
  if (dialogues.length === 0) return ownDialogue(attempt, attempt.completed, context, asker)

  const since = attempt.options.clock.monotonic()
  const walk = await walkAuthenticators(
    dialogues,
    scopeOf['keyboard-interactive'],
    ({ authenticator, userDetail }) => {
      if (authenticator.beginDialogue === undefined) throw new Error('It does not ask questions')
      const { username, address, stored, signal } = attempt
      const user = questionRecord(stored, username, userDetail)
      return within(
        authenticator.beginDialogue({ username, address, protocol: 'SSH', user }, { signal }),
        signal,
      )
    },
    (entry, result, reason) => note(attempt, since, `plugin ${entry.name}`, result, reason),
  )
  if (walk.answer === 'nobody') return ownDialogue(attempt, attempt.completed, context, asker)
  const begun = (await proofOfWalk(attempt, walk)) ?? refused('store', 'Nobody decides')
  if (!begun.proved) {
    // Otherwise a name that is asked nothing would be told from one that is; also one that the plugin would ask
    // and the store does not have. A plugin that is down asks nobody.
    if (walk.answer !== 'failed') {
      await context.untilFirstPage()
      await asker.ask(context.firstPages.get(walk.by.name) ?? passwordPage)
    }
    return begun
  }
  const completed = completeUser(begun.user, surroundingsOf(attempt.options.store), attempt.options.settings)
  const user = 'user' in completed ? completed.user : begun.user
  if (user.filters.hooks?.external_auth_disabled === true)
    return ownDialogue({ ...attempt, stored: begun.user, plugins: [] }, user, context, asker)
  const first = (): Promise<void> => context.untilFirstPage()
  const problem = await pluginDialogue(
    { ...attempt, stored: begun.user },
    walk.by,
    { ...context, first },
    asker,
  )
  const second = problem ?? (await secondFactor(attempt, user, asker))
  return second ?? begun
}

/** "Password: ", then the code of a second factor; after a proved key the code alone where there is one. */
async function ownDialogue(
  attempt: Attempt,
  user: User | undefined,
  { afterKey, untilFirstPage }: DialogueContext,
  asker: Asker,
): Promise<Proof> {
  if (afterKey && user !== undefined && hasSecondFactor(user) && attempt.stored !== undefined) {
    const problem = await secondFactor(attempt, user, asker)
    return problem ?? { proved: true, user: attempt.stored, by: 'second factor' }
  }
  // Looking up a name that is there takes a tenth of a millisecond longer, which five hundred tries would show.
  await untilFirstPage()
  const answers = await asker.ask(passwordPage)
  if (typeof answers === 'string')
    return refused('client', answers, { unknown: attempt.stored === undefined })
  // The same decision as for the method "password", plugins included: an old password that a directory refuses
  // must not come in by this door.
  const proof = await provePassword(attempt, answers[0] ?? '')
  if (!proof.proved) return proof
  const completed = completeUser(proof.user, surroundingsOf(attempt.options.store), attempt.options.settings)
  return (await secondFactor(attempt, 'user' in completed ? completed.user : proof.user, asker)) ?? proof
}

/** SFTPGo's dialogue: request after request until the plugin says yes or no. Undefined when it said yes. */
async function pluginDialogue(
  attempt: Attempt,
  entry: ConfiguredAuthenticator,
  { firstPages, first }: DialogueContext & { readonly first: () => Promise<void> },
  asker: Asker,
): Promise<Refused | undefined> {
  const by = `plugin ${entry.name}`
  const dialogueId = randomBytes(10).toString('hex')
  let answers: readonly string[] = []
  let questions: readonly string[] = []
  for (let step = 1; ; step++) {
    const since = attempt.options.clock.monotonic()
    const { username, address } = attempt
    const password = dialoguePassword(attempt.stored, entry.userDetail)
    const reply = await continueWith(attempt, entry, {
      dialogueId,
      step,
      username,
      address,
      password,
      answers,
      questions,
    })
    if (reply.next === 'failed') {
      note(attempt, since, by, 'failed', reply.reason)
      return refused(by, reply.reason, { broken: true })
    }
    if (reply.next === 'grant') {
      note(attempt, since, by, 'ok', `dialogue of ${step} steps`)
      return undefined
    }
    if (reply.next === 'refuse') {
      note(attempt, since, by, 'refused', reply.reason)
      return refused(by, reply.reason ?? 'The plugin refused', { counts: reply.certain ?? true })
    }
    const malformed = pageProblem(reply.instructions, reply.questions)
    if (malformed !== undefined) return refused(by, malformed, { counts: false })
    const page = { name: '', instructions: reply.instructions, questions: reply.questions }
    if (step === 1) {
      firstPages.set(entry.name, page)
      await first()
    }
    const given = await asker.ask(page)
    if (typeof given === 'string') return refused('client', given)
    questions = reply.questions.map(({ text }) => text)
    // The server checks only a single answer; with more questions the flag means nothing.
    const checks = questions.length === 1 ? reply.serverChecks : undefined
    const failed = checks === undefined ? undefined : await checkForPlugin(attempt, checks, given[0] ?? '')
    if (failed !== undefined) return failed
    answers = checks === undefined ? given : ['OK']
  }
}

async function continueWith(
  attempt: Attempt,
  { authenticator }: ConfiguredAuthenticator,
  step: DialogueStep,
): Promise<DialogueReply | { readonly next: 'failed'; readonly reason: string }> {
  if (authenticator.continueDialogue === undefined)
    return { next: 'failed', reason: 'It does not ask questions' }
  try {
    return await within(authenticator.continueDialogue(step, { signal: attempt.signal }), attempt.signal)
  } catch (error) {
    return { next: 'failed', reason: error instanceof Error ? error.message : String(error) }
  }
}

async function checkForPlugin(
  attempt: Attempt,
  what: 'password' | 'totp',
  answer: string,
): Promise<Refused | undefined> {
  if (what === 'password') {
    const proof = await checkStored(attempt, answer)
    return proof.proved ? undefined : proof
  }
  const completed =
    attempt.stored &&
    completeUser(attempt.stored, surroundingsOf(attempt.options.store), attempt.options.settings)
  const user = completed !== undefined && 'user' in completed ? completed.user : attempt.stored
  if (user === undefined || !hasSecondFactor(user))
    return refused('second factor', 'The user has no second factor')
  return checkCode(attempt, user, answer)
}

async function secondFactor(attempt: Attempt, user: User, asker: Asker): Promise<Refused | undefined> {
  if (!hasSecondFactor(user)) return undefined
  const page = { name: '', instructions: '', questions: [{ text: 'Authentication code: ', echo: false }] }
  const answers = await asker.ask(page)
  if (typeof answers === 'string') return refused('client', answers)
  return checkCode(attempt, user, answers[0] ?? '')
}

async function checkCode(attempt: Attempt, user: User, code: string): Promise<Refused | undefined> {
  const { options } = attempt
  const since = options.clock.monotonic()
  const { secret, config_name: name = '' } = user.filters.totp_config ?? {}
  let clear: string
  try {
    clear = await within(options.secrets.open(secret ?? {}), attempt.signal)
  } catch {
    // What the keeper said may name the secret; the log of `secrets` has it.
    note(attempt, since, 'second factor', 'failed', 'The secret cannot be opened')
    return refused('second factor', 'The secret cannot be opened', { broken: true })
  }
  const check = await options.codes.check(user.username, code, clear, options.settings.totp?.[name] ?? 'sha1')
  note(
    attempt,
    since,
    'second factor',
    check.accepted ? 'ok' : 'refused',
    check.accepted ? undefined : check.reason,
  )
  return check.accepted ? undefined : refused('second factor', check.reason)
}

const passwordPage: QuestionPage = {
  name: '',
  instructions: '',
  questions: [{ text: 'Password: ', echo: false }],
}

interface Asker {
  /** The answers, as many as there were questions; or why there are none. */
  ask(page: QuestionPage): Promise<readonly string[] | string>
}

/** Holds a client to the rules of a dialogue: as many answers as questions, of bounded length, in bounded rounds (S-9). */
function createAsker(ask: AskClient): Asker {
  let rounds = 0
  return {
    async ask(page) {
      rounds += 1
      if (rounds > mostRounds) return `The dialogue has more than ${mostRounds} rounds`
      const answers = await ask({
        ...page,
        instructions: cleanText(page.instructions),
        questions: cleanQuestions(page),
      })
      if (answers === undefined) return 'The client gave up'
      if (answers.length !== page.questions.length)
        return `The client gave ${answers.length} answers to ${page.questions.length} questions`
      if (answers.some((answer) => answer.includes('\0'))) return 'An answer contains a NUL character'
      if (answers.some((answer) => Buffer.byteLength(answer) > mostPasswordBytes))
        return 'An answer is too long'
      return answers
    },
  }
}

function pageProblem(
  instructions: string,
  questions: readonly { readonly text: string }[],
): string | undefined {
  if (questions.length === 0) return 'The plugin asked nothing'
  if (questions.length > mostQuestions) return `The plugin asked more than ${mostQuestions} questions`
  const long = [instructions, ...questions.map(({ text }) => text)].some(
    (text) => text.length > mostTextLength,
  )
  return long ? 'The plugin asked with too long a text' : undefined
}

function cleanQuestions({ questions }: QuestionPage): QuestionPage['questions'] {
  return questions.map(({ text, echo }) => ({ text: cleanText(text), echo }))
}

/** Without control characters: a terminal would obey them. */
function cleanText(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '')
}
