import type { LoginOptions } from './login-options.ts'
import type { AnswerCache, Credential } from './answer-cache.ts'
import type { ConfiguredAuthenticator, WalkResult } from './authenticators.ts'
import { applyAnswer } from './plugin-answer.ts'
import { sealPlain } from './secret-box.ts'
import type { StoryWriter } from './story.ts'
import type { User } from './user.ts'

/** Whether a credential is right, and whose it is. */
export type Proof =
  | {
      readonly proved: true
      /** Before groups are merged. */
      readonly user: User
      readonly by: string
      readonly keyFingerprint?: string
      /** To be kept in the store when the login is granted. */
      readonly persist?: boolean
      /** To be remembered when the login is granted. */
      readonly remember?: Credential
      /** A hash to renew when the login is granted. */
      readonly outdated?: { readonly hash: string; readonly password: string }
    }
  | Refused

/** A credential that is not right, or that nobody could judge. */
export interface Refused {
  readonly proved: false
  readonly by: string
  readonly reason: string
  /** Nobody of this name is known. */
  readonly unknown?: boolean
  /** Counts against the address; a plugin that may only have been broken does not. */
  readonly counts: boolean
  /** Nobody could judge: something was down, overloaded or out of time. Its time says nothing about the name. */
  readonly broken?: true
}

/** What all ways to prove a login share within one attempt. */
export interface Attempt {
  readonly options: LoginOptions
  readonly cache: AnswerCache
  readonly story: StoryWriter
  readonly username: string
  readonly method: 'password' | 'publickey' | 'keyboard-interactive'
  readonly address: string
  /** The stored user as it is, and with groups merged where that works. */
  readonly stored: User | undefined
  readonly completed: User | undefined
  /** Plugins to ask; empty for names that cannot be accounts and users who are exempt. */
  readonly plugins: readonly ConfiguredAuthenticator[]
  /** Fires when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** A refusal in short. */
export function refused(
  by: string,
  reason: string,
  more: { unknown?: boolean; counts?: boolean; broken?: boolean } = {},
): Refused {
  return {
    proved: false,
    by,
    reason,
    counts: (more.counts ?? true) && more.broken !== true,
    ...(more.broken === true && { broken: true }),
    ...(more.unknown === true && { unknown: true }),
  }
}

/** Notes a step that began at `since`. */
export function note(
  { story, method }: Pick<Attempt, 'story' | 'method'>,
  since: number,
  by: string,
  result: 'ok' | 'refused' | 'failed' | 'skipped',
  reason?: string,
): void {
  story.note({ method, by, result, ...(reason !== undefined && { reason: reason.slice(0, 500) }) }, since)
}

/** Turns what the plugins said into a proof; undefined when the store has to decide. */
export async function proofOfWalk(
  attempt: Attempt,
  walk: WalkResult,
  credential?: Credential,
): Promise<Proof | undefined> {
  if (walk.answer === 'nobody') return undefined
  const by = `plugin ${walk.by.name}`
  if (walk.answer === 'failed')
    return refused(by, `"${walk.by.name}" could not answer: ${walk.reason}`, { broken: true })
  if (walk.answer === 'refused') {
    if (credential !== undefined) attempt.cache.refused(attempt.username, credential)
    return refused(by, walk.reason, { counts: walk.certain })
  }
  const remember = credential === undefined ? {} : { remember: credential }
  if (walk.user === undefined) {
    if (attempt.stored === undefined)
      return refused(by, 'The plugin accepted a user that is not stored', { unknown: true })
    return { proved: true, user: attempt.stored, by, ...remember }
  }
  const { username, stored, options } = attempt
  const { usersBaseDir } = options.settings
  const applied = applyAnswer(walk.user, {
    username,
    stored,
    ...(usersBaseDir !== undefined && { usersBaseDir }),
  })
  if ('problem' in applied) return refused(by, applied.problem, { counts: false })
  if (applied.dropped.length > 0)
    options.log.debug('fields of a plugin not taken', {
      plugin: walk.by.name,
      fields: applied.dropped.slice(0, 20),
    })
  const user = await sealSecrets(attempt, applied.user)
  return { proved: true, user, by, ...remember, ...(walk.by.persist && { persist: true }) }
}

async function sealSecrets({ options }: Attempt, user: User): Promise<User> {
  const passphrase = user.filesystem.cryptconfig?.passphrase
  if (passphrase === undefined) return user
  const sealed = await sealPlain(options.secrets, passphrase, user.username)
  return { ...user, filesystem: { ...user.filesystem, cryptconfig: { passphrase: sealed } } }
}
