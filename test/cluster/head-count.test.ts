import { beforeEach, describe, expect, it } from 'vitest'
import type { Principal } from '../../src/accounts/principal.ts'
import { createHeadCount, type HeadCount } from '../../src/cluster/head-count.ts'
import { testUser } from '../accounts/login-rig.ts'

let limits: { total: number; perAddress: number }
let evicted: string[]
let heads: HeadCount

beforeEach(() => {
  limits = { total: 0, perAddress: 0 }
  evicted = []
  heads = createHeadCount(
    () => limits,
    (worker, id) => evicted.push(`${worker} ${id}`),
  )
})

describe('the connections of all workers', () => {
  it('are counted by address, whichever worker has them', () => {
    limits = { total: 0, perAddress: 2 }
    enter(1, 'a', 'ada')
    enter(2, 'b', 'ada')
    expect(heads.enter(1, 'c', '192.0.2.1')).toMatchObject({ by: 'limit-address' })
    expect(heads.enter(1, 'd', '192.0.2.2')).toBeUndefined()
    heads.left(2, 'b')
    expect(heads.enter(1, 'c', '192.0.2.1')).toBeUndefined()
  })

  it('make room for a newcomer by the oldest stranger of either', () => {
    limits = { total: 3, perAddress: 0 }
    enter(1, 'a', 'ada')
    heads.enter(2, 'b', '192.0.2.2')
    heads.enter(1, 'c', '192.0.2.3')
    expect(heads.enter(1, 'd', '192.0.2.4')).toBeUndefined()
    expect(evicted).toEqual(['2 b'])
    expect(heads.counts()).toEqual({ connections: 3, halfOpen: 2, sessions: 0 })
  })

  it('are refused when everybody in is logged in', () => {
    limits = { total: 2, perAddress: 0 }
    enter(1, 'a', 'ada')
    enter(2, 'b', 'ben')
    expect(heads.enter(1, 'c', '192.0.2.3')).toMatchObject({ by: 'limit-total' })
    expect(evicted).toEqual([])
  })
})

describe('the sessions of a user', () => {
  it('are counted over all workers, one after the other', () => {
    enter(1, 'a', 'ada', 2)
    enter(2, 'b', 'ada', 2)
    expect(heads.enterSession(1, 'a')?.user.username).toBe('ada')
    expect(heads.enterSession(2, 'b')?.user.username).toBe('ada')
    expect(heads.enterSession(2, 'b')).toBeUndefined()
    expect(heads.sessionsOf('ada')).toBe(2)
    heads.leaveSession(1, 'a')
    expect(heads.enterSession(2, 'b')).toBeDefined()
  })

  it('go with the worker that had them', () => {
    enter(1, 'a', 'ada')
    enter(2, 'b', 'ada')
    heads.enterSession(1, 'a')
    heads.enterSession(2, 'b')
    heads.forget(1)
    expect(heads.sessionsOf('ada')).toBe(1)
    expect(heads.counts()).toEqual({ connections: 1, halfOpen: 0, sessions: 1 })
  })

  it('are not opened by a worker for a connection of another one', () => {
    enter(1, 'a', 'ada')
    expect(heads.enterSession(2, 'a')).toBeUndefined()
    heads.left(2, 'a')
    expect(heads.isHere(1, 'a')).toBe(true)
  })
})

/** Somebody connects and logs in. */
function enter(worker: number, id: string, username: string, most = 0): void {
  heads.enter(worker, id, '192.0.2.1')
  const principal: Principal = {
    ...{ user: testUser({ username, max_sessions: most }), method: 'password' },
    ...{ address: '192.0.2.1', connectionId: id },
  }
  heads.granted(worker, id, principal)
}
