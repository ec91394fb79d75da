import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Soon } from '../base/soon.ts'
import { completeUser, surroundingsOf, type CompletionOptions } from './complete-user.ts'
import { accountProblem } from './conditions.ts'
import type { User } from './user.ts'
import type { UserStore } from './user-store.ts'

/** The sessions of a running server, as far as accounts need them; `SshServer` fits. */
export interface LiveSessions {
  connections(): Soon<readonly LiveConnection[]>
  /** Names of everybody who is logged in. */
  usernames(): ReadonlySet<string>
  sessionsOf(username: string): number
  /** Ends all connections of a user or a single one, with a word to the client; returns how many. */
  disconnect(which: ConnectionChoice, text: string): number
}

/** Whose connections are meant, or which one. */
export type ConnectionChoice = { readonly username: string } | { readonly connection: string }

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

/** Watches over those who are logged in. */
export interface SessionGuard {
  /** Somebody came in; `stored`: the store had them then. */
  granted(user: User, stored: boolean): void
  close(): void
}

interface Guest {
  /** As the last login of this name saw it. */
  readonly user: User
  readonly stored: boolean
}

/**
 * Ends the sessions of users who were disabled or removed, who expired, or whose access time is over (S-51). A user
 * whom a plugin made for the session is held against what the plugin said.
 */
export function guardSessions(options: SessionGuardOptions): SessionGuard {
  const { store, sessions, clock, log } = options
  const guests = new Map<string, Guest>()
  /** Guests who had no connection when last looked at. */
  const leaving = new Set<string>()
  let cancel: (() => void) | undefined

  const check = (username: string): void => {
    const reason = endReason(options, username, guests.get(username))
    if (reason === undefined) return
    const ended = sessions.disconnect({ username }, 'Your account is not available')
    if (ended > 0) log.info('sessions ended', { username, sessions: ended, reason })
    guests.delete(username)
  }
  const checkAll = (): void => {
    const names = sessions.usernames()
    for (const name of names) check(name)
    // Not at once: between a login and its connection's name there is a moment.
    for (const name of leaving) if (!names.has(name)) guests.delete(name)
    leaving.clear()
    for (const name of guests.keys()) if (!names.has(name)) leaving.add(name)
  }
  const again = (): void => {
    cancel = clock.after(checkMs, () => {
      checkAll()
      again()
    })
  }
  const unwatch = store.watch((change) => {
    if (change.of === 'all') checkAll()
    else check(change.username)
  })
  again()
  return {
    granted(user, stored) {
      leaving.delete(user.username)
      guests.set(user.username, { user, stored })
    },
    close() {
      unwatch()
      cancel?.()
    },
  }
}

function endReason(
  { store, completion, clock, localTime }: SessionGuardOptions,
  username: string,
  guest: Guest | undefined,
): string | undefined {
  const circumstances = { now: clock.now(), localTime: localTime === true }
  const stored = store.findUser(username)
  if (stored === undefined) {
    if (guest === undefined) return undefined
    return guest.stored ? 'The user was removed' : accountProblem(guest.user, circumstances)
  }
  const completed = completeUser(stored, surroundingsOf(store), completion)
  // A group that went away is noticed at the next login; what is open was granted with it.
  const user = 'user' in completed ? completed.user : stored
  return accountProblem(user, circumstances)
}
