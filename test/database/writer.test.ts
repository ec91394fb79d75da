import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openConnection } from '../../src/database/connection.ts'
import { findDriver, requireHere } from '../../src/database/driver.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'

const migrations = [
  { name: '1', sql: 'create table note (id integer primary key, text text not null unique) strict;' },
]

let folder: string
let path: string
let database: Database

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-writer-'))
  path = join(folder, 'notes.db')
  database = await openDatabase({ path, migrations, mostWaiting: 1000, durable: false })
})

afterEach(async () => {
  await database.close()
  rmSync(folder, { recursive: true, force: true })
})

const insert = (text: string) => ({ sql: 'insert into note (text) values (?)', values: [text] })
const texts = (): string[] =>
  database
    .query<{ text: string }>('select text from note order by id')
    .all()
    .map(({ text }) => text)

describe('the writer', () => {
  it('lets a reader see what it acknowledged', async () => {
    await database.writer.write([insert('a')])
    expect(texts()).toEqual(['a'])
  })

  it('keeps the order of the calls', async () => {
    await Promise.all(Array.from({ length: 500 }, (_, n) => database.writer.write([insert(`n${n}`)])))
    expect(texts()).toEqual(Array.from({ length: 500 }, (_, n) => `n${n}`))
  })

  it('does all steps of a write or none, and leaves its neighbours alone', async () => {
    const outcomes = await Promise.allSettled([
      database.writer.write([insert('first')]),
      database.writer.write([insert('second'), insert('first')]),
      database.writer.write([insert('third')]),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(outcomes[1]).toMatchObject({ reason: { code: 'constraint' } })
    expect(texts()).toEqual(['first', 'third'])
  })

  it('undoes a write whose condition does not hold', async () => {
    await database.writer.write([insert('a')])
    const result = await database.writer.write([
      insert('b'),
      { sql: "update note set text = 'c' where text = 'missing'", mustChange: true },
    ])
    expect(result).toEqual({ applied: false, step: 1 })
    expect(texts()).toEqual(['a'])
  })

  it('tells how many rows each step changed and what it returned', async () => {
    const result = await database.writer.write([
      insert('a'),
      { sql: 'insert into note (text) values (?) returning id, text', values: ['b'], returnsRows: true },
      { sql: 'delete from note' },
    ])
    expect(result).toEqual({ applied: true, changes: [1, 1, 2], rows: [[], [{ id: 2, text: 'b' }], []] })
  })

  it('refuses at once when too many wait', async () => {
    const writes = Array.from({ length: 1001 }, (_, n) => database.writer.write([insert(`n${n}`)]))
    const outcomes = await Promise.allSettled(writes)
    expect(outcomes.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 'overloaded' } },
    ])
    expect(texts()).toHaveLength(1000)
  })

  it('writes what waits before it closes, and refuses afterwards', async () => {
    const writes = Array.from({ length: 300 }, (_, n) => database.writer.write([insert(`n${n}`)]))
    await database.close()
    await Promise.all(writes)
    await expect(database.writer.write([insert('late')])).rejects.toMatchObject({ code: 'closed' })
    database = await openDatabase({ path, migrations })
    expect(texts()).toHaveLength(300)
  })

  it('says that another program keeps the lock, and works again when it is gone', async () => {
    const other = openConnection(requireHere, findDriver(), path)
    other.exec('begin immediate')
    await expect(database.writer.write([insert('a')])).rejects.toMatchObject({ code: 'busy' })
    other.exec('rollback')
    other.close()
    await database.writer.write([insert('b')])
    expect(texts()).toEqual(['b'])
  })

  it('says that the database is full, loses nothing it acknowledged, and works again with space', async () => {
    await database.writer.write([{ sql: 'pragma max_page_count=40', returnsRows: true }])
    const outcomes: string[] = []
    for (let n = 0; n < 100; n += 1)
      outcomes.push(
        await database.writer.write([insert(`${n}`.padEnd(4000, 'x'))]).then(
          () => 'written',
          (error: unknown) => (error as { code: string }).code,
        ),
      )
    const written = outcomes.filter((outcome) => outcome === 'written').length
    expect(written).toBeGreaterThan(3)
    expect(outcomes.slice(written).every((outcome) => outcome === 'full')).toBe(true)
    expect(texts()).toHaveLength(written)
    await database.writer.write([{ sql: 'pragma max_page_count=4000', returnsRows: true }])
    await database.writer.write([insert('after')])
    expect(texts()).toHaveLength(written + 1)
  })

  it('does not hold up the thread that asked', async () => {
    const other = openConnection(requireHere, findDriver(), path)
    other.exec('begin immediate')
    const write = database.writer.write([insert('a')])
    let turns = 0
    const until = performance.now() + 100
    while (performance.now() < until) {
      await new Promise((resolve) => setImmediate(resolve))
      turns += 1
    }
    other.exec('rollback')
    other.close()
    await write
    expect(turns).toBeGreaterThan(100)
  })

  it('writes durably where that is asked', async () => {
    await database.writer.write([insert('a')], { durable: true })
    const { rows } = (await database.writer.write([{ sql: 'pragma synchronous', returnsRows: true }], {
      durable: true,
    })) as { rows: unknown }
    expect(rows).toEqual([[{ synchronous: 2 }]])
  })
})
