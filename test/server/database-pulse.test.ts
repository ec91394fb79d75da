import { describe, expect, it } from 'vitest'
import { DatabaseError } from '../../src/database/database-error.ts'
import { openDatabase } from '../../src/database/open-database.ts'
import type { Writer } from '../../src/database/writer.ts'
import { createDatabasePulse } from '../../src/server/database-pulse.ts'

describe('the readiness of the database', () => {
  it('is what a read and a write show, each time it is asked', async () => {
    const database = await openDatabase({})
    const pulse = createDatabasePulse(database)
    await pulse.take()
    expect(pulse.state()).toEqual({ ready: true, detail: database.driver })
    await database.close()
    await pulse.take()
    expect(pulse.state().ready).toBe(false)
    expect(pulse.state().detail).toMatch(/^Cannot/)
  })

  it('is gone while a write hangs, and back afterwards', async () => {
    let finish = (): void => {}
    const writer: Writer = {
      waiting: 1,
      write: () =>
        new Promise((resolve) => {
          finish = () => resolve({ applied: true, changes: [], rows: [] })
        }),
    }
    const query = () => ({ get: () => undefined, all: () => [] })
    const pulse = createDatabasePulse({ query, writer, driver: 'libsql' }, 20)
    await pulse.take()
    expect(pulse.state()).toEqual({ ready: false, detail: 'a write waits for more than 0.02 s' })
    finish()
    const second = pulse.take()
    finish()
    await second
    expect(pulse.state().ready).toBe(true)
  })

  it('is gone when the writer says why it cannot', async () => {
    const writer: Writer = {
      waiting: 0,
      write: () => Promise.reject(new DatabaseError('full', 'Cannot write: the disk is full')),
    }
    const query = () => ({ get: () => undefined, all: () => [] })
    const pulse = createDatabasePulse({ query, writer, driver: 'libsql' })
    await pulse.take()
    expect(pulse.state()).toEqual({ ready: false, detail: 'Cannot write: the disk is full' })
  })
})
