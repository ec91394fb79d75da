import { accountProblem } from '../accounts/conditions.ts'
import type { UserStore } from '../accounts/user-store.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Closable } from '../base/scope.ts'
import type { SshDoor } from './ssh-door.ts'

/** How often those who are inside are looked at: accounts expire and access times end. */
const everyMs = 3_000

/** Ends the sessions of accounts that were removed, disabled, or may not be used any more. */
export function keepSessionsAllowed(options: {
  readonly store: UserStore
  readonly door: SshDoor
  readonly clock: Clock
  readonly log: Logger
}): Closable {
  const { store, door, clock, log } = options
  const end = (username: string, reason: string): void => {
    const ended = door.disconnect((connection) => connection.username === username, reason)
    if (ended > 0) log.info('sessions ended', { user: username, reason, connections: ended })
  }
  const check = (username: string): void => {
    // Users that only a plugin knows are not in the store.
    const user = store.findUser(username)
    const problem = user === undefined ? undefined : accountProblem(user, { now: clock.now() })
    if (problem !== undefined) end(username, problem)
  }
  const checkAll = (): void => {
    const names = new Set(door.connections().flatMap(({ username }) => username ?? []))
    for (const name of names) check(name)
  }

  let stop = clock.after(everyMs, tick)
  function tick(): void {
    checkAll()
    stop = clock.after(everyMs, tick)
  }
  const unwatch = store.watch((change) => {
    if (change.of === 'all') checkAll()
    else if (change.user === undefined) end(change.username, 'The user was removed')
    else check(change.username)
  })
  return {
    close() {
      stop()
      unwatch()
    },
  }
}
