import { expect, it } from 'vitest'
import { createTurnBudget } from '../../src/ssh/turn-budget.ts'

it('runs work at once while the turn has time, and the rest in order in later turns', async () => {
  let now = 0
  const budget = createTurnBudget(5, () => now)
  const done: number[] = []
  for (let index = 0; index < 6; index += 1) {
    budget.run(() => {
      now += 3
      done.push(index)
    })
  }
  expect(done).toEqual([0, 1])
  expect(budget.waiting).toBe(4)
  let turns = 0
  while (budget.waiting > 0 && turns < 20) {
    await new Promise((resolve) => setImmediate(resolve))
    turns += 1
  }
  expect(done).toEqual([0, 1, 2, 3, 4, 5])
  expect(turns).toBeGreaterThan(1)
})
