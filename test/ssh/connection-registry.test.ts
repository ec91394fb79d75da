import { describe, expect, it } from 'vitest'
import { ConnectionRegistry, type ConnectionLimits, type Counted } from '../../src/ssh/connection-registry.ts'

interface Fake extends Counted {
  progress: number
  destroyed: string | undefined
}

const noLimits: ConnectionLimits = { total: 0, perAddress: 0, halfOpen: 0, halfOpenPerAddress: 0 }

describe('the registry of connections', () => {
  it('refuses when an address has all its connections logged in, and another address may still come', () => {
    const registry = new ConnectionRegistry<Fake>({ ...noLimits, perAddress: 2 })
    for (const connection of [fake('a'), fake('a')]) {
      registry.enter(connection)
      registry.promote(connection)
    }
    expect(registry.enter(fake('a'))).toMatchObject({ refused: 'too many connections from this address' })
    expect(registry.enter(fake('b'))).toBeUndefined()
  })

  it('sends away the stranger who got least far, the oldest first', () => {
    const registry = new ConnectionRegistry<Fake>({ ...noLimits, halfOpenPerAddress: 3 })
    const [silent, older, busy] = [fake('a', 0), fake('a', 0), fake('a', 3)]
    for (const connection of [busy, silent, older]) registry.enter(connection)
    expect(registry.enter(fake('a'))).toBeUndefined()
    expect([silent.destroyed, older.destroyed, busy.destroyed]).toEqual([
      'evicted for a newer connection',
      undefined,
      undefined,
    ])
    expect(registry.size).toBe(3)
  })

  it('never sends away somebody who is logged in', () => {
    const registry = new ConnectionRegistry<Fake>({ ...noLimits, total: 1 })
    const guest = fake('a', Infinity)
    registry.enter(guest)
    registry.promote(guest)
    expect(registry.enter(fake('b'))).toMatchObject({ refused: 'too many connections' })
    expect(guest.destroyed).toBeUndefined()
    registry.leave(guest)
    expect(registry.enter(fake('b'))).toBeUndefined()
  })

  it('does not count those together whose address a proxy has not said yet', () => {
    const registry = new ConnectionRegistry<Fake>({ ...noLimits, perAddress: 1, halfOpen: 3 })
    const waiting = [fake(''), fake(''), fake('')]
    for (const connection of waiting) expect(registry.enter(connection)).toBeUndefined()
    expect(registry.enter(fake(''))).toBeUndefined()
    expect(registry.halfOpen).toBe(3)
    expect(waiting[0]?.destroyed).toBeDefined()
  })

  it('counts sessions of a user at once and gives each place back once', () => {
    const registry = new ConnectionRegistry<Fake>(noLimits)
    const first = registry.enterSession('ada', 1)
    expect(registry.enterSession('ada', 1)).toBeUndefined()
    expect(registry.enterSession('bob', 1)).toBeDefined()
    first?.()
    first?.()
    expect(registry.sessionsOf('ada')).toBe(0)
    expect(registry.enterSession('ada', 1)).toBeDefined()
    expect(registry.enterSession('carl', 0)).toBeDefined()
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
