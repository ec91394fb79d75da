import { describe, expect, it } from 'vitest'
import { createCallPace } from '../../src/storage/call-pace.ts'

describe('the pace of a disk', () => {
  it('stays inline while calls are fast, a few odd ones included', () => {
    const { pace, call } = paceWithClock()
    for (let index = 0; index < 1000; index += 1) call(index % 5 === 0 ? 8 : 0.02)
    expect(pace.inline).toBe(true)
    expect(pace.median()).toBe(20)
  })

  it('goes to the pool when most calls are slow', () => {
    const { pace, call, changes } = paceWithClock()
    for (let index = 0; index < 40; index += 1) call(1)
    expect(pace.inline).toBe(false)
    expect(changes).toEqual([false])
  })

  it('goes to the pool after one stall that everybody notices', () => {
    const { pace, call } = paceWithClock()
    call(1200)
    expect(pace.inline).toBe(false)
  })

  it('goes to the pool after shorter stalls that add up within ten seconds, not over minutes', () => {
    const apart = paceWithClock()
    for (let index = 0; index < 6; index += 1) {
      apart.call(400)
      apart.pass(20_000)
    }
    expect(apart.pace.inline).toBe(true)
    const together = paceWithClock()
    for (let index = 0; index < 3; index += 1) together.call(400)
    expect(together.pace.inline).toBe(false)
  })

  it('does not count the work of moving bytes as waiting', () => {
    const { pace } = paceWithClock()
    for (let index = 0; index < 100; index += 1) pace.took(1, 0.9)
    expect(pace.inline).toBe(true)
  })

  it('comes back when the disk is fast again, after a rest', () => {
    const { pace, call, pass } = paceWithClock()
    call(1200)
    for (let index = 0; index < 100; index += 1) call(0.05)
    expect(pace.inline).toBe(false)
    pass(5000)
    for (let index = 0; index < 8; index += 1) call(0.05)
    expect(pace.inline).toBe(true)
  })

  it('does not come back while the disk is slow', () => {
    const { pace, call, pass } = paceWithClock()
    call(1200)
    for (let index = 0; index < 100; index += 1) {
      pass(1000)
      call(3)
    }
    expect(pace.inline).toBe(false)
  })

  it('rests twice as long each time the disk turns slow soon after a rest', () => {
    const { pace, call, pass } = paceWithClock()
    const rests: number[] = []
    for (let round = 0; round < 4; round += 1) {
      call(1200)
      let rested = 0
      while (!pace.inline) {
        pass(1000)
        rested += 1
        for (let index = 0; index < 8; index += 1) call(0.05)
      }
      rests.push(rested)
    }
    expect(rests).toEqual([5, 10, 20, 40])
  })
})

function paceWithClock() {
  let now = 1_000_000
  const changes: boolean[] = []
  const pace = createCallPace({ monotonic: () => now, onChange: (inline) => changes.push(inline) })
  return {
    pace,
    changes,
    call: (milliseconds: number) => pace.took(milliseconds),
    pass: (milliseconds: number) => (now += milliseconds),
  }
}
