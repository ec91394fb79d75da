import { describe, expect, it } from 'vitest'
import { createPace } from '../../src/events/pace.ts'
import { manualClock } from '../helpers/manual-clock.ts'

function openPace(most = 32) {
  const clock = manualClock()
  const pace = createPace({ clock, mostTogether: () => most })
  return {
    clock,
    pace,
    /** One telling that takes so long. */
    tell: (events: number, tookMs: number, well = true, stream = 'u/ada'): void => {
      const began = clock.monotonic()
      clock.advance(tookMs)
      pace.ended(stream, { events, began, well })
    },
  }
}

describe('the pace of a stream', () => {
  it('is one event at first, and many once one was quick', () => {
    const { pace, tell } = openPace()
    expect(pace.together('u/ada')).toBe(1)
    tell(1, 3)
    expect(pace.together('u/ada')).toBe(32)
    expect(pace.together('u/eve')).toBe(1)
  })

  it.each([
    ['was slow', 1, 11, true],
    ['failed', 1, 1, false],
    ['came only half of the way', 0, 1, true],
  ])('is one event again after a telling that %s', (_what, events, tookMs, well) => {
    const { pace, tell } = openPace()
    tell(1, 3)
    tell(events, tookMs, well)
    expect(pace.together('u/ada')).toBe(1)
    expect(pace.gatherMs('u/ada')).toBe(0)
  })

  it('lets more come only while they come quickly', () => {
    const { pace, clock, tell } = openPace()
    expect(pace.gatherMs('u/ada')).toBe(0)
    tell(1, 3)
    expect(pace.gatherMs('u/ada')).toBe(20)
    clock.advance(99)
    expect(pace.gatherMs('u/ada')).toBe(20)
    clock.advance(1)
    expect(pace.gatherMs('u/ada')).toBe(0)
  })

  it('never waits for a notifier that takes one at a time', () => {
    const { pace, tell } = openPace(1)
    tell(1, 3)
    expect(pace.gatherMs('u/ada')).toBe(0)
    expect(pace.together('u/ada')).toBe(1)
  })

  it('is kept for a thousand streams, those that were told last', () => {
    const { pace, tell } = openPace()
    for (let user = 0; user <= 1_000; user += 1) tell(1, 1, true, `u/${user}`)
    expect(pace.together('u/0')).toBe(1)
    expect(pace.together('u/1')).toBe(32)
    expect(pace.together('u/1000')).toBe(32)
  })
})
