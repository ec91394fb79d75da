import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { completeUser, type CompletionOptions } from './complete-user.ts'
import { accountProblem } from './conditions.ts'
import type { UserStore } from './user-store.ts'

/** The sessions of a running server, as far as accounts need them; `SshServer` fits. */
export interface LiveSessions {
  connections(): readonly LiveConnection[]
  sessionsOf(username: string): number
  /** Ends those for which `matches` says so, with a word to the client; returns how many. */
  disconnect(matches: (connection: LiveConnection) => boolean, text: string): number
}

/** One connection; without a name it is not logged in. */
export interface LiveConnection {
  readonly id: string
  readonly address: string
  readonly username?: string
  readonly method?: string
  readonly clientVersion: string
  readonly since: number
  readonly idleMs: number
  readonly sessions: number
}

/** What the guard watches. */
export interface SessionGuardOptions {
  readonly store: UserStore
  readonly sessions: LiveSessions
  readonly completion: CompletionOptions
  readonly clock: Clock
  readonly log: Logger
  readonly localTime?: boolean
}

/** Expiry and access times come without a change of the account, so they are looked at this often. */
const checkMs = 2_000

/**
 * Ends the sessions of users who were disabled or removed, who expired, or whose access time is over (S-51). The
 * returned function stops it. A user who exists in no store (made by a plugin, for the session) is left alone.
 */
export function guardSessions(options: SessionGuardOptions): () => void {
  const { store, sessions, clock, log } = options
  const seen = new Set<string>()
  let cancel: (() => void) | undefined

  const check = (username: string): void => {
    const reason = endReason(options, username, seen)
    if (reason === undefined) return
    const ended = sessions.disconnect(
      (connection) => connection.username === username,
      'Your account is not available',
    )
    if (ended > 0) log.info('sessions ended', { username, sessions: ended, reason })
    seen.delete(username)
  }
  const checkAll = (): void => {
    const names = new Set(sessions.connections().flatMap(({ username }) => username ?? []))
    for (const name of seen) if (!names.has(name)) seen.delete(name)
    for (const name of names) check(name)
  }
  const again = (): void => {
    cancel = clock.after(checkMs, () => {
      checkAll()
      again()
    })
  }
  const unwatch = store.watch((change) => {
    if (change.of === 'all') checkAll()
    else if (change.user !== undefined) check(change.username)
    else {
      // Removed at this moment, whether or not the guard had seen the user before.
      seen.add(change.username)
      check(change.username)
    }
  })
  again()
  return () => {
    unwatch()
    cancel?.()
  }
}

function endReason(
  { store, completion, clock, localTime }: SessionGuardOptions,
  username: string,
  seen: Set<string>,
): string | undefined {
  const stored = store.findUser(username)
  if (stored === undefined) return seen.has(username) ? 'The user was removed' : undefined
  seen.add(username)
  const surroundings = {
    group: (name: string) => store.findGroup(name),
    folder: (name: string) => store.findFolder(name),
  }
  const completed = completeUser(stored, surroundings, completion)
  // A group that went away is noticed at the next login; what is open was granted with it.
  const user = 'user' in completed ? completed.user : stored
  return accountProblem(user, { now: clock.now(), localTime: localTime === true })
}
