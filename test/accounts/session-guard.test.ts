import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  guardSessions,
  type LiveConnection,
  type LiveSessions,
  type SessionGuard,
} from '../../src/accounts/session-guard.ts'
import type { User } from '../../src/accounts/user.ts'
import type { UserStore } from '../../src/accounts/user-store.ts'
import { createDatabaseUserStore } from '../../src/accounts/database-user-store.ts'
import { createUsage } from '../../src/accounts/usage.ts'
import { silentLogger } from '../../src/base/log.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import { emptyDatabase, testUser } from './login-rig.ts'

let database: Database
let store: UserStore
let now: number
let tick: () => void
let guard: SessionGuard
let live: LiveConnection[]
const sessions: LiveSessions = {
  connections: () => live,
  usernames: () => new Set(live.flatMap(({ username }) => username ?? [])),
  sessionsOf: () => 0,
  disconnect(which) {
    const before = live.length
    live = live.filter((one) =>
      'username' in which ? one.username !== which.username : one.id !== which.connection,
    )
    return before - live.length
  },
}
const names = (): (string | undefined)[] => live.map(({ username }) => username)

beforeAll(async () => {
  database = await openDatabase({ durable: false })
})
afterAll(() => database.close())
beforeEach(async () => {
  await emptyDatabase(database)
  now = Date.UTC(2026, 0, 5, 12) // a Monday
  live = []
  store = createDatabaseUserStore({ database, usage: createUsage(database, () => now), now: () => now })
  const clock = {
    now: () => now,
    monotonic: () => now,
    after(_ms: number, action: () => void) {
      tick = action
      return () => {}
    },
  }
  guard = guardSessions({ store, sessions, completion: {}, clock, log: silentLogger })
})
afterEach(() => guard.close())

/** Somebody comes in. */
function enter(user: User, stored: boolean): void {
  const { username } = user
  guard.granted(user, stored)
  live.push({ id: username, address: '', username, clientVersion: '', since: now, idleMs: 0, sessions: 1 })
}

async function enterStored(fields: Partial<User> = {}, username = 'ada'): Promise<User> {
  const user = await store.putUser(testUser({ username, ...fields }))
  enter(user, true)
  return user
}

describe('open sessions (S-51, row 113)', () => {
  it('end when their user is disabled or removed, and nobody else with them', async () => {
    await enterStored()
    await enterStored({}, 'bob')
    await enterStored({}, 'carl')
    await store.changeUser('ada', (user) => ({ ...user, status: 0 }))
    expect(names()).toEqual(['bob', 'carl'])
    await store.removeUser('bob')
    expect(names()).toEqual(['carl'])
  })

  it('stay when their user is changed otherwise', async () => {
    await enterStored()
    await store.changeUser('ada', (user) => ({ ...user, description: 'changed' }))
    tick()
    expect(names()).toEqual(['ada'])
  })

  it('end at the expiry, and when the access time is over', async () => {
    await enterStored({ expiration_date: now + 10_000 })
    const period = { day_of_week: 1, from: '08:00', to: '12:00' }
    await enterStored({ filters: { access_time: [period] } }, 'bob')
    tick()
    expect(names()).toEqual(['ada', 'bob'])
    now += 11_000
    tick()
    expect(names()).toEqual(['bob'])
    now += 60_000
    tick()
    expect(names()).toEqual([])
  })

  it('end when the user went away by another hand, at whatever moment after the login', async () => {
    const user = await store.putUser(testUser({ username: 'ada' }))
    await database.writer.write([{ sql: 'delete from account_user' }])
    enter(user, true)
    tick()
    expect(names()).toEqual([])
  })

  it('of a user whom a plugin made stay until what the plugin said ends them', () => {
    enter(testUser({ username: 'ada' }), false)
    enter(testUser({ username: 'bob', expiration_date: now + 1_000 }), false)
    tick()
    expect(names()).toEqual(['ada', 'bob'])
    now += 2_000
    tick()
    expect(names()).toEqual(['ada'])
  })

  it('are no reason to remember somebody for ever', async () => {
    await enterStored()
    live = []
    tick()
    tick()
    await store.removeUser('ada')
    // Somebody of the same name whom a plugin makes is another user.
    enter(testUser({ username: 'ada' }), false)
    tick()
    expect(names()).toEqual(['ada'])
  })
})
