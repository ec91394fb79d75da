import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openConnection } from '../../src/database/connection.ts'
import { requireHere } from '../../src/database/driver.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import { createOutbox, type Outbox, type OwedRow } from '../../src/events/outbox.ts'
import { withReceipts, type OutboxWithReceipts } from '../../src/events/receipts.ts'
import { manualClock, type ManualClock } from '../helpers/manual-clock.ts'
import { recordingLog } from '../helpers/recording-log.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { createListener, eventually, uploadOf } from './sample-events.ts'

describe('an outbox that notes what was told with others', () => {
  let folder: ReturnType<typeof temporaryDirectory>
  let database: Database
  let clock: ManualClock
  let log: ReturnType<typeof recordingLog>
  let store: Outbox
  let outbox: OutboxWithReceipts

  beforeEach(async () => {
    folder = temporaryDirectory()
    database = await openDatabase({ path: join(folder.path, 'state.db') })
    clock = manualClock()
    log = recordingLog()
    store = createOutbox({
      ...{ database, durable: false, now: () => clock.now(), written() {} },
      notifiers: () => [createListener().entry],
    })
    outbox = withReceipts({ store, clock, log })
  })

  afterEach(async () => {
    await database.close()
    folder[Symbol.dispose]()
  })

  async function written(count: number, username = 'ada'): Promise<readonly OwedRow[]> {
    for (let n = 0; n < count; n += 1) await outbox.add(`${username}-${n}`, uploadOf(username, `/${n}`))
    return outbox.page('ear', store.streamsAfter('ear', '', 10).at(-1) ?? '', count)
  }

  const owedInDatabase = (): number => store.waiting('ear')

  it('does not read again what was told and is not noted yet', async () => {
    const [first, second, third] = await written(3)
    await outbox.acknowledge('ear', first!)
    expect(owedInDatabase()).toBe(3)
    expect(outbox.page('ear', first!.stream, 2)).toEqual([second, third])
    expect(outbox.waiting('ear')).toBe(2)
    expect(outbox.waiting('other')).toBe(0)
  })

  it('notes it 20 ms later', async () => {
    const [first] = await written(1)
    await outbox.acknowledge('ear', first!)
    clock.advance(19)
    await database.writer.write([])
    expect(owedInDatabase()).toBe(1)
    clock.advance(1)
    await eventually('it is noted', () => owedInDatabase() === 0)
    expect(outbox.waiting('ear')).toBe(0)
  })

  it('notes 32 at once, without waiting', async () => {
    for (const row of await written(32)) await outbox.acknowledge('ear', row)
    await eventually('they are noted', () => owedInDatabase() === 0)
  })

  it('notes everything when it is settled', async () => {
    for (const row of await written(5)) await outbox.acknowledge('ear', row)
    await outbox.settle()
    expect(owedInDatabase()).toBe(0)
    expect(clock.next()).toBe(false)
  })

  it(
    'keeps what a locked database does not take, says so, and notes it afterwards',
    { timeout: 60_000 },
    async () => {
      const rows = await written(300)
      const other = openConnection(requireHere, database.driver, join(folder.path, 'state.db'))
      other.exec('begin immediate')
      const outcomes = rows.map((row) => outbox.acknowledge('ear', row).then(() => 'went on' as const))
      const refused = outcomes.slice(255).map((outcome) => expect(outcome).rejects.toThrow())
      expect(await Promise.all(outcomes.slice(0, 255))).toEqual(Array.from({ length: 255 }, () => 'went on'))
      await Promise.all(refused)
      expect(outbox.page('ear', rows[0]!.stream, 10)).toEqual([])
      expect(outbox.waiting('ear')).toBe(0)
      await eventually('it is said', () => log.entries.some(({ level }) => level === 'error'))
      other.exec('rollback')
      other.close()
      clock.advance(500)
      await eventually('they are noted', () => owedInDatabase() === 0)
    },
  )

  it('holds two notifiers apart', async () => {
    const [first] = await written(1)
    await outbox.acknowledge('somebody else', first!)
    expect(outbox.page('ear', first!.stream, 1)).toEqual([first])
    expect(outbox.waiting('ear')).toBe(1)
    await outbox.settle()
    expect(owedInDatabase()).toBe(1)
  })
})
