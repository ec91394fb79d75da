import { describe, expect, it } from 'vitest'
import { openDatabase } from '../../src/database/open-database.ts'
import { openEventLog } from '../../src/events/open-event-log.ts'
import { OldestWaiting } from '../../src/events/oldest-waiting.ts'
import { manualClock } from '../helpers/manual-clock.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { createListener, eventually, uploadOf } from './sample-events.ts'

describe('the age of the oldest event that waits', () => {
  it('is right whosever it is, among thousands of users', async () => {
    using folder = temporaryDirectory()
    const database = await openDatabase({ path: folder.file('state.db') })
    const clock = manualClock()
    const ages: number[] = []
    const ear = createListener()
    ear.setReady(false)
    const log = await openEventLog({
      ...{ database, clock, notifiers: [ear.entry] },
      meter: {
        add() {},
        observe() {},
        set: (name, value) => void (name === 'sftpgo_events_oldest_seconds' && ages.push(value)),
      },
    })
    // The last by name of all.
    await log.record(uploadOf('zoe', '/first'))
    clock.advance(60_000)
    const names = Array.from({ length: 3_000 }, (_, n) => `user${n}`)
    await Promise.all(names.map(async (name) => log.record(uploadOf(name, '/later'))))
    const ageIs = (what: string, holds: (age: number) => boolean): Promise<void> =>
      eventually(what, () => {
        clock.advance(50)
        return holds(ages.at(-1) ?? -1)
      })
    await ageIs('the oldest is seen', (age) => age >= 60)
    ear.on = async ({ username }) => {
      if (username !== 'zoe') throw new Error('not now')
    }
    ear.setReady(true)
    await eventually('it is told', () => ear.paths('zoe').length === 1)
    await ageIs('the others are younger', (age) => age > 0 && age < 60)
    await log.close(0)
    await database.close()
  })

  it('takes several looks over very many users, and says the oldest of those it has seen', async () => {
    const seqOf = new Map(
      Array.from({ length: 25_000 }, (_, n) => [`u/${String(n).padStart(5, '0')}`, 50_000 - n]),
    )
    const names = [...seqOf.keys()]
    const oldest = new OldestWaiting({
      heads: (after, most) =>
        names
          .filter((name) => name > after && seqOf.has(name))
          .slice(0, most)
          .map((stream) => ({ stream, seq: seqOf.get(stream) ?? 0 })),
      isOwed: ({ stream, seq }) => seqOf.get(stream) === seq,
      writtenMs: (seq) => seq,
    })
    expect(await oldest.look()).toBe(40_001)
    expect(await oldest.look()).toBe(30_001)
    expect(await oldest.look()).toBe(25_001)
    seqOf.set('u/00003', 7)
    // Nothing older comes by itself; whoever brings it back says so.
    expect(await oldest.look()).toBe(25_001)
    oldest.forget()
    expect(await oldest.look()).toBe(7)
    seqOf.clear()
    expect(await oldest.look()).toBeUndefined()
  })
})
