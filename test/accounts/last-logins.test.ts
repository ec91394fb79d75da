import { expect, it } from 'vitest'
import { createLastLogins } from '../../src/accounts/last-logins.ts'
import { manualClock } from '../helpers/manual-clock.ts'

it('writes the last of many logins of a user down once, and soon', () => {
  const clock = manualClock()
  const written: (readonly [string, number])[] = []
  const logins = createLastLogins({ noteLogin: (name, at) => void written.push([name, at]) }, clock)
  logins.note('ada', 1)
  logins.note('grace', 2)
  logins.note('ada', 3)
  expect(written).toEqual([])
  clock.advance(250)
  expect(written).toEqual([
    ['ada', 3],
    ['grace', 2],
  ])
  logins.note('ada', 4)
  logins.close()
  clock.advance(1_000)
  expect(written.slice(2), 'nothing is lost at the end, and nothing written twice').toEqual([['ada', 4]])
})
