import { messageOf } from '../base/errors.ts'
import type { Authenticator, GrantedUser, Verdict } from '../slots/auth/contract.ts'

/** An auth plugin as the configuration describes it; the plugin wing hands over a list of these, in order. */
export interface ConfiguredAuthenticator {
  readonly name: string
  /** SFTPGo's bits: 1 password, 2 public key, 4 keyboard-interactive. */
  readonly scope: number
  readonly authenticator: Authenticator
  /** When it could not answer: refuse the login or ask the next in line. */
  readonly whenDown: 'refuse' | 'next'
  /** When it said no. */
  readonly whenRefused: 'refuse' | 'next'
  /** How much of the stored user it is shown. */
  readonly userDetail: 'default' | 'full' | 'minimal'
  /** Whether users that it returns are kept in the store. */
  readonly persist: boolean
}

/** The bit of each method. */
export const scopeOf = { password: 1, publickey: 2, 'keyboard-interactive': 4 } as const

/** What came of walking the line of authenticators. */
export type WalkResult =
  | { readonly answer: 'granted'; readonly by: ConfiguredAuthenticator; readonly user?: GrantedUser }
  | {
      readonly answer: 'refused'
      readonly by: ConfiguredAuthenticator
      readonly reason: string
      readonly certain: boolean
    }
  | { readonly answer: 'failed'; readonly by: ConfiguredAuthenticator; readonly reason: string }
  /** Nobody is configured for the method, or all that are passed it on: the store decides. */
  | { readonly answer: 'nobody' }

/** Hears of each answer, for the story. */
export type WalkObserver = (
  by: ConfiguredAuthenticator,
  result: 'ok' | 'refused' | 'failed',
  reason: string | undefined,
) => void

/**
 * Asks, in order, those whose scope has the method, until one decides. By default the first answer is final, and
 * silence refuses; each entry may say otherwise. This is the only place that combines auth plugins.
 */
export async function walkAuthenticators(
  line: readonly ConfiguredAuthenticator[],
  scope: number,
  ask: (entry: ConfiguredAuthenticator) => Promise<Verdict>,
  observe: WalkObserver,
): Promise<WalkResult> {
  for (const entry of line) {
    if ((entry.scope & scope) === 0) continue
    try {
      const verdict = await ask(entry)
      observe(entry, verdict.granted ? 'ok' : 'refused', verdict.granted ? undefined : verdict.reason)
      if (verdict.granted)
        return { answer: 'granted', by: entry, ...(verdict.user !== undefined && { user: verdict.user }) }
      if (entry.whenRefused === 'next') continue
      const reason = verdict.reason ?? 'no reason given'
      return { answer: 'refused', by: entry, reason, certain: verdict.certain ?? true }
    } catch (error) {
      const reason = messageOf(error)
      observe(entry, 'failed', reason)
      if (entry.whenDown === 'refuse') return { answer: 'failed', by: entry, reason }
    }
  }
  return { answer: 'nobody' }
}
