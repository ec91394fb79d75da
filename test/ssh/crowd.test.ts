import { describe, expect, it } from 'vitest'
import { type ConnectionLimits, type Counted, Crowd } from '../../src/ssh/crowd.ts'

interface Fake extends Counted {
  progress: number
  destroyed: string | undefined
}

const noLimits: ConnectionLimits = { total: 0, perAddress: 0, halfOpen: 0, halfOpenPerAddress: 0 }

describe('the crowd of connections', () => {
  it('refuses when an address has all its connections logged in, and another address may still come', () => {
    const limits = { ...noLimits, perAddress: 2 }
    const crowd = new Crowd<Fake>()
    for (const connection of [fake('a'), fake('a')]) {
      crowd.enter(connection, limits)
      crowd.promote(connection)
    }
    expect(crowd.enter(fake('a'), limits)).toMatchObject({
      refused: 'too many connections from this address',
    })
    expect(crowd.enter(fake('b'), limits)).toBeUndefined()
  })

  it('sends away the stranger who got least far, the oldest first', () => {
    const limits = { ...noLimits, halfOpenPerAddress: 3 }
    const crowd = new Crowd<Fake>()
    const [silent, older, busy] = [fake('a', 0), fake('a', 0), fake('a', 3)]
    for (const connection of [busy, silent, older]) crowd.enter(connection, limits)
    expect(crowd.enter(fake('a'), limits)).toBeUndefined()
    expect([silent.destroyed, older.destroyed, busy.destroyed]).toEqual([
      'evicted for a newer connection',
      undefined,
      undefined,
    ])
    expect(crowd.size).toBe(3)
  })

  it('never sends away somebody who is logged in', () => {
    const limits = { ...noLimits, total: 1 }
    const crowd = new Crowd<Fake>()
    const guest = fake('a', Infinity)
    crowd.enter(guest, limits)
    crowd.promote(guest)
    expect(crowd.enter(fake('b'), limits)).toMatchObject({ refused: 'too many connections' })
    expect(guest.destroyed).toBeUndefined()
    crowd.leave(guest)
    expect(crowd.enter(fake('b'), limits)).toBeUndefined()
  })

  it('does not count those together whose address a proxy has not said yet', () => {
    const limits = { ...noLimits, perAddress: 1, halfOpen: 3 }
    const crowd = new Crowd<Fake>()
    const waiting = [fake(''), fake(''), fake('')]
    for (const connection of waiting) expect(crowd.enter(connection, limits)).toBeUndefined()
    expect(crowd.enter(fake(''), limits)).toBeUndefined()
    expect(crowd.halfOpen).toBe(3)
    expect(waiting[0]?.destroyed).toBeDefined()
  })

  it('counts sessions of a user at once and gives each place back once', () => {
    const crowd = new Crowd()
    const first = crowd.enterSession('ada', 1)
    expect(crowd.enterSession('ada', 1)).toBeUndefined()
    expect(crowd.enterSession('bob', 1)).toBeDefined()
    first?.()
    first?.()
    expect(crowd.sessionsOf('ada')).toBe(0)
    expect(crowd.enterSession('ada', 1)).toBeDefined()
    expect(crowd.enterSession('carl', 0)).toBeDefined()
  })
})

function fake(address: string, progress = 0): Fake {
  return {
    address,
    progress,
    destroyed: undefined,
    destroy(reason) {
      this.destroyed = reason
    },
  }
}
