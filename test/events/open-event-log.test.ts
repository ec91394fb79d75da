import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PluginError } from '../../src/base/errors.ts'
import { openConnection } from '../../src/database/connection.ts'
import { requireHere } from '../../src/database/driver.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import { openEventLog, type EventLogOptions, type OpenEventLog } from '../../src/events/open-event-log.ts'
import { virtualPath } from '../../src/base/virtual-path.ts'
import { createListener, eventually, intentOf, uploadOf } from './sample-events.ts'

let folder: string
let database: Database
let events: OpenEventLog

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-events-'))
  database = await openDatabase({ path: join(folder, 'state.db') })
})

afterEach(async () => {
  await events?.close(100)
  await database.close()
  rmSync(folder, { recursive: true, force: true })
})

let journaled = false

async function open(...notifiers: EventLogOptions['notifiers']): Promise<void> {
  const journal = journaled ? { journalFile: join(folder, 'events.journal') } : {}
  events = await openEventLog({ database, notifiers, ...journal })
}

/** The next life of the program, on the same database. */
async function reopen(...notifiers: EventLogOptions['notifiers']): Promise<void> {
  await events.close(0)
  await database.close()
  database = await openDatabase({ path: join(folder, 'state.db') })
  await open(...notifiers)
}

async function upload(username: string, path: string): Promise<void> {
  const event = uploadOf(username, path)
  const intent = await events.intend(intentOf(event))
  await intent.commit(event)
}

const rowsIn = (table: string): number =>
  database.query<{ n: number }>(`select count(*) as n from ${table}`).get()?.n ?? -1

describe.each([
  ['with a journal', true],
  ['without a journal', false],
])('%s', (_title, isJournaled) => {
  beforeEach(() => void (journaled = isJournaled))

  describe('the event log', () => {
    it('tells a notifier what was committed, with its id and number', async () => {
      const ear = createListener()
      await open(ear.entry)
      await upload('ada', '/a.txt')
      await eventually('it hears', () => ear.heard.length === 1)
      expect(ear.heard[0]).toMatchObject({
        action: 'upload',
        username: 'ada',
        path: '/a.txt',
        storagePath: '/srv/ada/a.txt',
        status: 1,
        size: 5n,
        elapsedMs: 3n,
        metadata: { event_id: expect.stringMatching(/^[0-9a-f-]{36}$/), sequence: '1' },
      })
      await eventually('nothing is owed', () => rowsIn('delivery') === 0)
    })

    it('does not tell what was abandoned', async () => {
      const ear = createListener()
      await open(ear.entry)
      const intent = await events.intend(intentOf(uploadOf('ada', '/a')))
      await intent.abandon()
      await upload('ada', '/b')
      await eventually('it hears', () => ear.heard.length === 1)
      expect(ear.paths()).toEqual(['/b'])
      expect(rowsIn('event_intent')).toBe(0)
    })

    it('writes nothing down when nobody asked', async () => {
      await open()
      await upload('ada', '/a')
      await events.record(uploadOf('ada', '/b'))
      events.recordLog({ kind: 'log', event: 1, username: 'x', protocol: 'SSH', address: '::1', message: '' })
      expect(events.wants('upload')).toBe(false)
      expect([rowsIn('event_intent'), rowsIn('outbox'), rowsIn('delivery')]).toEqual([0, 0, 0])
    })

    it('tells each user in order, whatever the number', async () => {
      const ear = createListener()
      await open(ear.entry)
      const names = ['ada', 'bob', 'cyd']
      const expected = Array.from({ length: 100 }, (_, n) => `/f${n}`)
      await Promise.all(
        names.map(async (name) => {
          for (const path of expected) await upload(name, path)
        }),
      )
      await eventually('all are heard', () => ear.heard.length === 300)
      for (const name of names) expect(ear.paths(name)).toEqual(expected)
    })

    it('keeps what a notifier that is away has not heard, and tells it in order when it comes', async () => {
      const ear = createListener()
      ear.setReady(false)
      await open(ear.entry)
      const paths = Array.from({ length: 200 }, (_, n) => `/f${n}`)
      for (const path of paths) await upload('ada', path)
      expect(ear.heard).toEqual([])
      ear.setReady(true)
      await eventually('all are heard', () => ear.heard.length === 200)
      expect(ear.paths()).toEqual(paths)
    })

    it('tells what waited before a restart before what is new', async () => {
      const ear = createListener()
      ear.setReady(false)
      await open(ear.entry)
      for (const path of ['/1', '/2', '/3']) await upload('ada', path)
      await reopen(ear.entry)
      await upload('ada', '/4')
      ear.setReady(true)
      await eventually('all are heard', () => ear.heard.length === 4)
      expect(ear.paths()).toEqual(['/1', '/2', '/3', '/4'])
    })

    it('tells again with the same id when an answer was lost', async () => {
      const ear = createListener()
      const ids: (string | undefined)[] = []
      ear.on = async (notice) => {
        ids.push(notice.metadata['event_id'])
        if (ids.length < 3) throw new PluginError('failed', 'The answer was lost')
      }
      await open(ear.entry)
      await upload('ada', '/a')
      await eventually('it hears', () => ear.heard.length === 1)
      expect(new Set(ids).size).toBe(1)
      expect(ids).toHaveLength(3)
    })

    it('holds up nobody but the user whose events fail', async () => {
      const ear = createListener('ear', { delivery: { maxAttempts: 1_000 } })
      ear.on = async ({ username }) => {
        if (username === 'bad') throw new PluginError('failed', 'No')
      }
      await open(ear.entry)
      for (let n = 0; n < 20; n += 1) {
        await upload('bad', `/${n}`)
        await upload('good', `/${n}`)
      }
      await eventually('the others are heard', () => ear.paths('good').length === 20)
      expect(ear.paths('bad')).toEqual([])
    })

    it('parks one event that fails again and again, and goes on with the next', async () => {
      const ear = createListener('ear', { delivery: { maxAttempts: 3 } })
      let tries = 0
      ear.on = async ({ path }) => {
        if (path !== '/poison') return
        tries += 1
        throw new PluginError('failed', 'Cannot take it')
      }
      await open(ear.entry)
      for (const path of ['/1', '/poison', '/2']) await upload('ada', path)
      await eventually('the next is heard', () => ear.paths().length === 2)
      expect(ear.paths()).toEqual(['/1', '/2'])
      expect(tries).toBe(3)
      expect(database.query('select notifier, attempts, reason from parked').all()).toEqual([
        { notifier: 'ear', attempts: 3, reason: 'Cannot take it' },
      ])
    })

    it('tells the others although one event makes the notifier fall each time, and parks that one', async () => {
      const ear = createListener('ear', { delivery: { maxAttempts: 4 } })
      let falls = 0
      const fallsBefore: number[] = []
      ear.on = async ({ path }) => {
        if (path !== '/poison') return void fallsBefore.push(falls)
        falls += 1
        ear.setReady(false)
        setTimeout(() => ear.setReady(true), 5)
        throw new PluginError('exited', 'It fell')
      }
      await open(ear.entry)
      ear.setReady(false)
      await upload('ada', '/poison')
      await upload('ada', '/after')
      for (const name of ['bob', 'cyd', 'dan', 'eve']) await upload(name, '/f')
      ear.setReady(true)
      await eventually('all others are heard', () => ear.heard.length === 5)
      expect(falls).toBe(4)
      expect(fallsBefore.slice(0, 4)).toEqual([1, 1, 1, 1])
      expect(rowsIn('parked')).toBe(1)
    })

    it('tells two notifiers independently', async () => {
      const quick = createListener('quick')
      const stuck = createListener('stuck')
      stuck.setReady(false)
      await open(quick.entry, stuck.entry)
      for (let n = 0; n < 50; n += 1) await upload('ada', `/${n}`)
      await eventually('the quick one hears', () => quick.heard.length === 50)
      expect(stuck.heard).toEqual([])
      stuck.setReady(true)
      await eventually('the other one hears', () => stuck.heard.length === 50)
      expect(stuck.paths()).toEqual(quick.paths())
    })

    it('does not let a slow user delay another', async () => {
      const ear = createListener()
      let release = (): void => {}
      const released = new Promise<void>((resolve) => (release = resolve))
      ear.on = ({ username }) => (username === 'slow' ? released : Promise.resolve())
      await open(ear.entry)
      await upload('slow', '/a')
      for (let n = 0; n < 50; n += 1) await upload('quick', `/${n}`)
      await eventually('the quick one is heard', () => ear.paths('quick').length === 50, 2_000)
      release()
      await eventually('the slow one is heard', () => ear.paths('slow').length === 1)
    })

    it('escapes a name that is not UTF-8 and sends its exact bytes beside it', async () => {
      const ear = createListener()
      await open(ear.entry)
      const event = uploadOf('ada', '/caf\xe9.txt', {
        action: 'rename',
        targetPath: virtualPath(Buffer.from('/é').toString('latin1')),
      })
      await events.record(event)
      await eventually('it hears', () => ear.heard.length === 1)
      expect(ear.heard[0]).toMatchObject({
        path: '/caf\\xe9.txt',
        storagePath: '/srv/ada/caf\\xe9.txt',
        targetPath: '/é',
        metadata: { virtual_path_b64: Buffer.from('/caf\xe9.txt', 'latin1').toString('base64') },
      })
      expect(ear.heard[0]?.metadata).not.toHaveProperty('virtual_target_path_b64')
    })

    it('stops at once with a notifier that never answers, and tells it again next time', async () => {
      const ear = createListener()
      let calls = 0
      ear.on = () => {
        calls += 1
        return new Promise(() => {})
      }
      await open(ear.entry)
      await upload('ada', '/a')
      await eventually('it is asked', () => calls === 1)
      const began = performance.now()
      await events.close(50)
      expect(performance.now() - began).toBeLessThan(1_000)
      ear.on = async () => {}
      await reopen(ear.entry)
      await eventually('it hears', () => ear.heard.length === 1)
    })

    it('refuses uploads at the disk budget, and other operations only a little later', async () => {
      const ear = createListener()
      ear.setReady(false)
      events = await openEventLog({
        database,
        notifiers: [ear.entry],
        settings: { diskBudgetBytes: 400_000 },
      })
      let accepted = 0
      const uploadForEver = async (): Promise<void> => {
        for (; accepted < 10_000; accepted += 1) await upload('ada', `/${'x'.repeat(900)}${accepted}`)
      }
      await expect(uploadForEver()).rejects.toMatchObject({ name: 'FileError', code: 'no-space' })
      expect(accepted).toBeGreaterThan(50)
      await events.record(uploadOf('ada', '/gone', { action: 'delete' }))
      ear.setReady(true)
      await eventually('all are heard', () => ear.heard.length === accepted + 1)
    })
  })

  describe('a list of notifiers that changes', () => {
    it('tells a new one what happens from then on, and leaves the others undisturbed', async () => {
      const old = createListener('old')
      const fresh = createListener('fresh')
      await open(old.entry)
      await upload('ada', '/1')
      await events.takeNotifiers([old.entry, fresh.entry])
      await upload('ada', '/2')
      await eventually('both hear', () => old.heard.length === 2 && fresh.heard.length === 1)
      expect(fresh.paths()).toEqual(['/2'])
    })

    it('keeps what one that left was owed until it comes back', async () => {
      const ear = createListener()
      ear.setReady(false)
      await open(ear.entry)
      await upload('ada', '/1')
      await events.takeNotifiers([])
      expect(events.wants('upload')).toBe(false)
      await upload('ada', '/2')
      ear.setReady(true)
      await events.takeNotifiers([ear.entry])
      await eventually('it hears', () => ear.heard.length === 1)
      expect(ear.paths()).toEqual(['/1'])
    })
  })

  describe('a start', () => {
    const checkFor = (part: string, final: string) => ({
      of: 'publish' as const,
      partPath: join(folder, part),
      finalPath: join(folder, final),
      inode: statSync(join(folder, part)).ino,
    })

    it('tells an upload whose bytes took their final name though the server died before it said so', async () => {
      const ear = createListener()
      await open(ear.entry)
      writeFileSync(join(folder, '.part'), 'hello!!')
      const event = uploadOf('ada', '/final')
      await events.intend({ event, check: checkFor('.part', 'final') })
      renameSync(join(folder, '.part'), join(folder, 'final'))
      await reopen(ear.entry)
      expect(events.recovered).toMatchObject({ committed: 1, discarded: 0 })
      await eventually('it hears', () => ear.heard.length === 1)
      expect(ear.heard[0]).toMatchObject({ path: '/final', status: 1, size: 7n })
    })

    it('tells an upload that was cut as failed, and says where its bytes lie', async () => {
      const ear = createListener()
      await open(ear.entry)
      writeFileSync(join(folder, '.part'), 'hel')
      await events.intend({ event: uploadOf('ada', '/final'), check: checkFor('.part', 'final') })
      await reopen(ear.entry)
      expect(events.recovered.partPaths).toEqual([join(folder, '.part')])
      await eventually('it hears', () => ear.heard.length === 1)
      expect(ear.heard[0]).toMatchObject({ path: '/final', status: 2, size: 3n })
    })

    it('tells a removal, a renaming and a new directory only when the disk shows it', async () => {
      const ear = createListener('ear', { wants: { files: ['delete', 'rename', 'mkdir'] } })
      await open(ear.entry)
      for (const name of ['stays', 'goes', 'a', 'b', 'c', 'd']) writeFileSync(join(folder, name), name)
      const inode = (name: string): number => statSync(join(folder, name)).ino
      const remove = (name: string) =>
        events.intend({
          event: uploadOf('ada', `/${name}`, { action: 'delete' }),
          check: { of: 'remove', path: join(folder, name) },
        })
      const rename = (from: string, to: string, toWasFree = true) =>
        events.intend({
          event: uploadOf('ada', `/${from}`, { action: 'rename', targetPath: virtualPath(`/${to}`) }),
          check: {
            ...{ of: 'rename', from: join(folder, from), to: join(folder, to) },
            ...{ inode: inode(from), toWasFree },
          },
        })
      const make = (name: string) =>
        events.intend({
          event: uploadOf('ada', `/${name}`, { action: 'mkdir' }),
          check: { of: 'make-directory', path: join(folder, name) },
        })
      await remove('stays')
      await remove('goes')
      rmSync(join(folder, 'goes'))
      await rename('a', 'a2')
      await rename('b', 'b2')
      renameSync(join(folder, 'b'), join(folder, 'b2'))
      // Begun with a second name, as without native code.
      await rename('c', 'c2')
      linkSync(join(folder, 'c'), join(folder, 'c2'))
      // Two names of one file before and after.
      linkSync(join(folder, 'd'), join(folder, 'd2'))
      await rename('d', 'd2', false)
      await make('never')
      await make('made')
      mkdirSync(join(folder, 'made'))
      await reopen(ear.entry)
      expect(events.recovered).toMatchObject({ committed: 4, discarded: 4, unknown: 0 })
      await eventually('it hears', () => ear.heard.length === 4)
      expect(ear.heard.map(({ action, path }) => [action, path])).toEqual([
        ['delete', '/goes'],
        ['rename', '/b'],
        ['rename', '/c'],
        ['mkdir', '/made'],
      ])
      expect(existsSync(join(folder, 'c'))).toBe(false)
      expect(existsSync(join(folder, 'd'))).toBe(true)
    })

    it('tells nothing of an intent that nothing can prove', async () => {
      const ear = createListener()
      await open(ear.entry)
      await events.intend(intentOf(uploadOf('ada', '/a')))
      await reopen(ear.entry)
      expect(events.recovered).toMatchObject({ committed: 0, unknown: 1 })
      expect(rowsIn('event_intent')).toBe(0)
      expect(rowsIn('outbox')).toBe(0)
    })
  })

  describe('a veto', () => {
    const preUpload = (path: string) => uploadOf('ada', path, { action: 'pre-upload' })
    const guard = (
      answer: () => Promise<void | { reason: string; certain: boolean }>,
      veto: object = {},
      ready = true,
    ) => ({
      name: 'guard',
      notifier: () => (ready ? { notifyFile: answer } : undefined),
      wants: { files: ['pre-upload' as const] },
      veto,
    })

    it('is true when nobody may refuse', async () => {
      await open(createListener('ear', { wants: { files: ['pre-upload'] } }).entry)
      expect(await events.permits(preUpload('/a'))).toBe(true)
    })

    it('lets through what is answered with OK, and refuses what is refused, asked once, queued never', async () => {
      let asked = 0
      await open(
        guard(async () => {
          asked += 1
          return asked === 1 ? undefined : { reason: 'No such names', certain: true }
        }),
      )
      expect(await events.permits(preUpload('/a'))).toBe(true)
      expect(await events.permits(preUpload('/b'))).toBe(false)
      await events.record(preUpload('/a'))
      expect(asked).toBe(2)
      expect(rowsIn('outbox')).toBe(0)
    })

    it('refuses what nobody can answer, unless told otherwise', async () => {
      const fail = async (): Promise<void> => {
        throw new PluginError('exited', 'It is gone')
      }
      await open(guard(fail))
      expect(await events.permits(preUpload('/a'))).toBe(false)
      await events.close()
      await open(guard(fail, { whenDown: 'allow' }))
      expect(await events.permits(preUpload('/a'))).toBe(true)
      await events.close()
      await open(guard(async () => {}, {}, false))
      expect(await events.permits(preUpload('/a'))).toBe(false)
    })

    it('reads a status that says nothing as a refusal, unless told otherwise', async () => {
      const unknown = async () => ({ reason: 'UNKNOWN', certain: false })
      await open(guard(unknown, { whenDown: 'allow' }))
      expect(await events.permits(preUpload('/a'))).toBe(false)
      await events.close()
      await open(guard(unknown, { whenDown: 'allow', unknownStatus: 'failure' }))
      expect(await events.permits(preUpload('/a'))).toBe(true)
    })

    it('reads the error for such a status in the same way', async () => {
      const fail = async (): Promise<void> => {
        throw new PluginError('refused-or-failed', 'UNKNOWN')
      }
      await open(guard(fail, { whenDown: 'allow' }))
      expect(await events.permits(preUpload('/a'))).toBe(false)
      await events.close()
      await open(guard(fail, { whenDown: 'allow', unknownStatus: 'failure' }))
      expect(await events.permits(preUpload('/a'))).toBe(true)
    })

    it('has an end', async () => {
      await open(guard(() => new Promise(() => {}), { timeoutMs: 30 }))
      expect(await events.permits(preUpload('/a'))).toBe(false)
    })
  })
})

describe('a database in trouble', () => {
  beforeEach(() => void (journaled = false))

  const tell = async (event = uploadOf('ada', '/a')): Promise<void> => {
    const intent = await events.intend(intentOf(event))
    await intent.commit(event)
  }

  it('that is locked fails the operation, and what had happened by then is told when the lock is gone', async () => {
    const ear = createListener()
    await open(ear.entry)
    const event = uploadOf('ada', '/a')
    const intent = await events.intend(intentOf(event))
    const other = openConnection(requireHere, database.driver, join(folder, 'state.db'))
    other.exec('begin immediate')
    await expect(intent.commit(event)).rejects.toMatchObject({ name: 'FileError', code: 'input-output' })
    expect(events.status().unwritten).toBe(1)
    other.exec('rollback')
    other.close()
    await eventually('it is told', () => ear.heard.length === 1)
    expect(events.status().unwritten).toBe(0)
    await tell(uploadOf('ada', '/b'))
    await eventually('the next is told', () => ear.heard.length === 2)
    expect(ear.paths()).toEqual(['/a', '/b'])
  })

  it('that is full refuses what it cannot keep, tells what it accepted, and works again with space', async () => {
    const ear = createListener()
    ear.setReady(false)
    await open(ear.entry)
    const { pages } = database
      .query<{ pages: number }>('select page_count as pages from pragma_page_count')
      .get() ?? {
      pages: 0,
    }
    const limit = (most: number) =>
      database.writer.write([{ sql: `pragma max_page_count=${most}`, returnsRows: true }])
    await limit(pages + 10)
    const accepted: string[] = []
    for (let n = 0; n < 100; n += 1) {
      const path = `/${n}${'x'.repeat(1_000)}`
      await tell(uploadOf('ada', path)).then(
        () => accepted.push(path),
        (error: unknown) => expect(error).toMatchObject({ name: 'FileError', code: 'no-space' }),
      )
    }
    expect(accepted.length).toBeGreaterThan(2)
    expect(accepted.length).toBeLessThan(60)
    await limit(1_000_000)
    await tell(uploadOf('ada', '/after'))
    ear.setReady(true)
    await eventually('all are told', () => ear.paths().includes('/after'))
    expect(ear.paths().filter((path) => accepted.includes(path))).toEqual(accepted)
  })
})

describe('a journal', () => {
  const journalFile = (): string => join(folder, 'events.journal')
  beforeEach(() => void (journaled = true))

  /** A life that ends without a word: what it wrote down stays, and nothing is put in order. */
  async function die(): Promise<void> {
    const left = readFileSync(journalFile())
    await events.close(0)
    await database.close()
    rmSync(join(folder, 'state.db'))
    writeFileSync(journalFile(), left)
    database = await openDatabase({ path: join(folder, 'state.db') })
  }

  it('takes what happens while the database is locked, tells it at once, and hands it over afterwards', async () => {
    const ear = createListener()
    await open(ear.entry)
    const other = openConnection(requireHere, database.driver, join(folder, 'state.db'))
    other.exec('begin immediate')
    for (let n = 0; n < 700; n += 1) await upload('ada', `/${n}`)
    expect(rowsIn('outbox')).toBe(0)
    await eventually('the first is told', () => ear.heard.length > 0)
    other.exec('rollback')
    other.close()
    await eventually('all are told', () => ear.heard.length === 700)
    expect(ear.paths()).toEqual(Array.from({ length: 700 }, (_, n) => `/${n}`))
    await eventually('the database has them', () => rowsIn('outbox') === 700)
    await eventually('nothing is owed', () => rowsIn('delivery') === 0)
  })

  it('is taken over by a life whose events are durable, and by one without this notifier', async () => {
    const ear = createListener()
    ear.setReady(false)
    await open(ear.entry)
    await upload('ada', '/1')
    await die()
    events = await openEventLog({
      database,
      notifiers: [],
      journalFile: journalFile(),
      settings: { durable: true },
    })
    expect(rowsIn('delivery')).toBe(1)
    expect(readFileSync(journalFile(), 'utf8')).toBe('')
    ear.setReady(true)
    await events.takeNotifiers([ear.entry])
    await eventually('it is told', () => ear.heard.length === 1)
  })

  it('is taken over again where a life ended while it took over', async () => {
    const ear = createListener()
    ear.setReady(false)
    await open(ear.entry)
    await upload('ada', '/1')
    await events.intend(intentOf(uploadOf('ada', '/2')))
    await die()
    const left = readFileSync(journalFile())
    await open(ear.entry)
    await events.close(0)
    writeFileSync(journalFile(), left)
    ear.setReady(true)
    await open(ear.entry)
    await eventually('it is told', () => ear.heard.length === 1)
    expect(rowsIn('outbox')).toBe(1)
  })

  it('loses no line after one that was cut off', async () => {
    const ear = createListener()
    ear.setReady(false)
    writeFileSync(journalFile(), '["event","half')
    await open(ear.entry)
    await upload('ada', '/1')
    await die()
    writeFileSync(
      journalFile(),
      Buffer.concat([Buffer.from('["event","half\n'), readFileSync(journalFile())]),
    )
    ear.setReady(true)
    await open(ear.entry)
    await eventually('it is told', () => ear.heard.length === 1)
  })

  it('numbers changes of accounts together with everything else, so that whoever follows misses none', async () => {
    const ear = createListener('ear', {
      wants: { files: ['upload'], providerActions: ['add'], providerObjects: ['user'] },
    })
    await open(ear.entry)
    await upload('ada', '/1')
    await events.recordProvider({
      ...{ kind: 'provider', action: 'add', objectType: 'user', objectName: 'bob', objectData: '{}' },
      ...{ username: 'root', address: '', role: '' },
    })
    await upload('ada', '/2')
    await eventually('the database has them', () => rowsIn('outbox') === 3)
    const rows = database
      .query<{ seq: number; action: string }>('select seq, action from outbox order by seq')
      .all()
    expect(rows.map(({ action }) => action)).toEqual(['upload', 'provider-add', 'upload'])
    expect((rows[2]?.seq ?? 0) - (rows[0]?.seq ?? 0)).toBe(2)
  })
})
