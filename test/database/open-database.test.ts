import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DriverName } from '../../src/database/connection.ts'
import { findDriver } from '../../src/database/driver.ts'
import { migrations } from '../../src/database/migrations/index.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'

const events = { name: '001-note', sql: 'create table note (id integer primary key, text text) strict;' }
const later = { name: '002-more', sql: 'alter table note add column at_ms integer;' }

let folder: string
let path: string
const open: Database[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-database-'))
  path = join(folder, 'state/accounts.db')
})

afterEach(async () => {
  for (const database of open.splice(0)) await database.close()
  rmSync(folder, { recursive: true, force: true })
})

async function opened(options: Parameters<typeof openDatabase>[0] = { path }): Promise<Database> {
  const database = await openDatabase(options)
  open.push(database)
  return database
}

describe('opening the database', () => {
  it('makes a file that only its owner can read', async () => {
    await opened()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'state')).mode & 0o777).toBe(0o700)
  })

  it('keeps what was written for the next opening', async () => {
    const first = await opened({ path, migrations: [events] })
    await first.writer.write([{ sql: 'insert into note (text) values (?)', values: ['hello'] }])
    await first.close()
    const second = await opened({ path, migrations: [events] })
    expect(second.query('select text from note').all()).toEqual([{ text: 'hello' }])
  })

  it('runs only the steps that are missing', async () => {
    const first = await opened({ path, migrations: [events] })
    await first.writer.write([{ sql: "insert into note (text) values ('kept')" }])
    await first.close()
    const second = await opened({ path, migrations: [events, later] })
    expect(second.query('select text, at_ms from note').all()).toEqual([{ text: 'kept', at_ms: null }])
  })

  it('undoes every step when one fails', async () => {
    await (await opened({ path, migrations: [events] })).close()
    const broken = { name: '003-broken', sql: 'alter table note add column b text; create tabel oops;' }
    await expect(opened({ path, migrations: [events, broken] })).rejects.toThrow(/syntax/)
    const database = await opened({ path, migrations: [events] })
    expect(database.query('select * from note').all()).toEqual([])
    expect(() => database.query('select b from note')).toThrow(/no such column/)
  })

  it('refuses a database that a newer version changed', async () => {
    await (await opened({ path, migrations: [events, later] })).close()
    await expect(opened({ path, migrations: [events] })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('002-more'),
    })
  })

  it('refuses the database of another program', async () => {
    const foreign = await opened({ path, migrations: [events] })
    await foreign.writer.write([{ sql: 'drop table migration' }])
    await foreign.close()
    await expect(opened({ path, migrations: [events] })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('another program'),
    })
  })

  it('says what to do about a damaged file, and leaves it as it is', async () => {
    path = join(folder, 'damaged.db')
    writeFileSync(path, 'no database '.repeat(500))
    await expect(opened()).rejects.toMatchObject({
      code: 'file-unreadable',
      message: expect.stringContaining('damaged'),
    })
    expect(statSync(path).size).toBe(6000)
  })

  it('says which folder cannot be made', async () => {
    writeFileSync(join(folder, 'state'), 'a file')
    await expect(opened()).rejects.toMatchObject({ code: 'file-unreadable' })
  })

  it('keeps a database without a path in a private file that goes with it', async () => {
    // Its own place for temporary files: other programs open such databases meanwhile.
    vi.stubEnv('TMPDIR', folder)
    const database = await opened({ migrations: [events] })
    vi.unstubAllEnvs()
    await database.writer.write([{ sql: "insert into note (text) values ('x')" }])
    expect(database.query('select count(*) as n from note').get()).toEqual({ n: 1 })
    const [made = ''] = readdirSync(folder)
    const files = readdirSync(join(folder, made)).map((file) => join(folder, made, file))
    expect(files.some((file) => file.endsWith('memory.db'))).toBe(true)
    expect(files.map((file) => statSync(file).mode & 0o077)).toEqual(files.map(() => 0))
    await database.close()
    expect(readdirSync(folder)).toEqual([])
  })

  it("applies the product's own steps", async () => {
    const database = await opened({ path, migrations })
    expect(database.query('select name from migration order by position').all()).toEqual(
      migrations.map(({ name }) => ({ name })),
    )
  })

  it('cannot be changed through a read', async () => {
    const database = await opened({ path, migrations: [events] })
    expect(() => database.query("insert into note (text) values ('x') returning id").all()).toThrow(
      expect.objectContaining({ code: 'read-only' }),
    )
  })
})

describe.each(availableDrivers())('the driver %s', (driver) => {
  it('gives back text, numbers, bytes and nothing as they were', async () => {
    const database = await opened({
      path,
      driver,
      migrations: [{ name: '1', sql: 'create table v (t text, n integer, r real, b blob, e text) strict' }],
    })
    const bytes = Buffer.from([0, 255, 1])
    await database.writer.write([
      { sql: 'insert into v values (?, ?, ?, ?, ?)', values: ['ü\u00ff', 2 ** 52, 1.5, bytes, null] },
    ])
    for (const row of [database.query('select * from v').get(), database.query('select * from v').all()[0]]) {
      expect(row).toEqual({ t: 'ü\u00ff', n: 2 ** 52, r: 1.5, b: expect.any(Uint8Array), e: null })
      expect(Object.keys(row ?? {})).toEqual(['t', 'n', 'r', 'b', 'e'])
      expect(Buffer.from((row as { b: Uint8Array }).b)).toEqual(bytes)
    }
  })

  it('finds nothing as undefined', async () => {
    const database = await opened({ path, driver, migrations: [events] })
    expect(database.query('select * from note where id = ?').get(4)).toBeUndefined()
    expect(database.query('select * from note where id = ?').all(4)).toEqual([])
  })
})

function availableDrivers(): DriverName[] {
  const best = findDriver()
  return best === 'libsql' ? ['libsql'] : [best, 'libsql']
}
