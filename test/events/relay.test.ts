import { describe, expect, it } from 'vitest'
import { recordFigure } from '../helpers/soak-figures.ts'
import { runSchedule } from './relay-world.ts'

/** `npm run soak` runs more of them. */
const schedules = Number(process.env['SFTPGO_TS_SCHEDULES'] ?? 100_000)

describe('the relay', () => {
  it(
    `keeps its promises in ${schedules} random schedules of crashes, timeouts and lost answers`,
    // A schedule takes a third of a millisecond on a machine with nothing else to do.
    { timeout: Math.max(120_000, schedules * 5) },
    async () => {
      let [committed, told, parked, crashes, together] = [0, 0, 0, 0, 0]
      for (let seed = 1; seed <= schedules; seed += 1) {
        const result = await runSchedule(seed)
        if (result.problem !== undefined) expect.fail(`seed ${seed}: ${result.problem}`)
        committed += result.committed
        told += result.told
        parked += result.parked
        crashes += result.crashes
        together += result.together
      }
      // The schedules must have had something to go wrong.
      expect(told).toBeGreaterThan(committed - parked)
      expect(parked).toBeGreaterThan(schedules / 100)
      expect(crashes).toBeGreaterThan(schedules / 2)
      expect(together).toBeGreaterThan(schedules / 10)
      recordFigure(
        `the relay on a manual clock, ${schedules} random schedules`,
        `${committed} events, ${crashes} crashes: all told in order or parked; ${told - committed + parked} repetitions`,
        'none lost, none out of order',
      )
    },
  )
})
