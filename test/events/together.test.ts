import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { PluginError } from '../../src/base/errors.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import type { NotifierEntry } from '../../src/events/notifier-entry.ts'
import { openEventLog, type OpenEventLog } from '../../src/events/open-event-log.ts'
import type { FileNotice, TakenInOrder } from '../../src/slots/notifier/contract.ts'
import { createListener, eventually, intentOf, uploadOf } from './sample-events.ts'

let folder: string
let database: Database
let events: OpenEventLog

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-together-'))
  database = await openDatabase({ path: join(folder, 'state.db') })
})

afterEach(async () => {
  await events.close(100)
  await database.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A notifier that takes several, and how many it was asked to take each time. */
function createCompanion(take: (notice: FileNotice) => Promise<void> | void = () => {}) {
  const calls: number[] = []
  const heard: FileNotice[] = []
  const one = async (notice: FileNotice): Promise<void> => {
    await take(notice)
    heard.push(notice)
  }
  const notifier = {
    async notifyFile(notice: FileNotice) {
      calls.push(1)
      await one(notice)
    },
    async notifyFiles(notices: readonly FileNotice[]): Promise<TakenInOrder> {
      calls.push(notices.length)
      for (const [taken, notice] of notices.entries()) {
        try {
          await one(notice)
        } catch (error) {
          // Who dies answers nothing.
          if (!(error instanceof PluginError) || error.code === 'exited') throw error
          return { taken, failure: error }
        }
      }
      return { taken: notices.length }
    },
  }
  const entry: NotifierEntry = { ...createListener('companion').entry, notifier: () => notifier }
  return { calls, heard, entry, paths: () => heard.map(({ path }) => path) }
}

async function upload(username: string, path: string): Promise<void> {
  const event = uploadOf(username, path)
  const intent = await events.intend(intentOf(event))
  await intent.commit(event)
}

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `/${index}`)

async function open(entry: NotifierEntry, clock: Clock = systemClock): Promise<void> {
  const journalFile = join(folder, 'events.journal')
  events = await openEventLog({ database, notifiers: [entry], journalFile, clock })
}

describe('a notifier that takes several events at once', () => {
  it('hears of a busy user in few calls, in order and once', async () => {
    const companion = createCompanion()
    await open(companion.entry)
    for (const path of names(200)) await upload('ada', path)
    await eventually('all are told', () => companion.heard.length >= 200)
    expect(companion.paths()).toEqual(names(200))
    expect(companion.calls[0]).toBe(1)
    expect(Math.max(...companion.calls)).toBeGreaterThan(10)
    expect(Math.max(...companion.calls)).toBeLessThanOrEqual(32)
    expect(companion.calls.length).toBeLessThan(40)
  })

  it('hears of one that comes alone at once', async () => {
    const companion = createCompanion()
    await open(companion.entry)
    await upload('ada', '/first')
    await eventually('it is told', () => companion.heard.length === 1)
    // A machine with much else to do may stop us for longer once; what gathers is told 20 ms later each time.
    const tookMs: number[] = []
    for (const path of names(4)) {
      await new Promise((resolve) => setTimeout(resolve, 150))
      const began = performance.now()
      const heard = companion.heard.length
      await upload('ada', path)
      await eventually('it is told', () => companion.heard.length > heard)
      tookMs.push(performance.now() - began)
    }
    expect(Math.min(...tookMs)).toBeLessThan(20)
  })

  it('is told of one that it did not take, alone and then with the others behind it', async () => {
    let refusals = 0
    const companion = createCompanion(({ path }) => {
      if (path !== '/50' || refusals === 2) return
      refusals += 1
      throw new PluginError('failed', 'not this one')
    })
    await open(companion.entry)
    for (const path of names(100)) await upload('ada', path)
    await eventually('all are told', () => companion.heard.length >= 100)
    expect(companion.paths()).toEqual(names(100))
    expect(refusals).toBe(2)
  })

  it('that dies of one is told each of those that were with it alone, and dies of that one no more often than of one that came alone', async () => {
    let deaths = 0
    const companion = createCompanion(({ path }) => {
      if (path !== '/50') return
      deaths += 1
      throw new PluginError('exited', 'gone')
    })
    // No call takes long by this clock: on a busy machine one before it might, and it would come alone at first.
    await open({ ...companion.entry, delivery: { maxAttempts: 3 } }, { ...systemClock, monotonic: () => 0 })
    for (const path of names(100)) await upload('ada', path)
    await eventually('all others are told', () => new Set(companion.paths()).size === 99, 20_000)
    // Once with others, then as often as it may fail.
    expect(deaths).toBe(4)
    const firstTimes = [...new Set(companion.paths())]
    expect(firstTimes).toEqual(names(100).filter((path) => path !== '/50'))
    expect(companion.heard.length - firstTimes.length).toBeLessThan(32)
    expect(events.status().notifiers[0]?.parked).toBe(1)
  })

  it('that stops half-way goes on with the next one, and nothing counts against it', async () => {
    const companion = createCompanion()
    const { entry } = companion
    const notifier = entry.notifier()
    const halfWay: NotifierEntry = {
      ...entry,
      notifier: () => ({
        ...notifier,
        notifyFiles: (notices) => notifier!.notifyFiles!(notices.slice(0, Math.ceil(notices.length / 2))),
      }),
      delivery: { maxAttempts: 1 },
    }
    await open(halfWay)
    for (const path of names(100)) await upload('ada', path)
    await eventually('all are told', () => companion.heard.length >= 100)
    expect(companion.paths()).toEqual(names(100))
    expect(events.status().notifiers[0]?.parked).toBe(0)
  })

  it('that has little time for a call gets no more than it can take in it', async () => {
    const companion = createCompanion()
    await open({ ...companion.entry, delivery: { timeoutMs: 100 } })
    for (const path of names(100)) await upload('ada', path)
    await eventually('all are told', () => companion.heard.length >= 100)
    expect(companion.paths()).toEqual(names(100))
    expect(Math.max(...companion.calls)).toBe(2)
  })

  it('is told of changes of accounts one at a time', async () => {
    const companion = createCompanion()
    const changes: string[] = []
    const notifier = companion.entry.notifier()
    await open({
      ...companion.entry,
      notifier: () => ({
        ...notifier,
        notifyProvider: async ({ objectName }) => void changes.push(objectName),
      }),
      wants: { files: [], providerActions: ['add'], providerObjects: ['user'] },
    })
    for (const name of names(40))
      await events.recordProvider({
        ...{ kind: 'provider', action: 'add', objectType: 'user', objectName: name, username: 'root' },
        ...{ address: '192.0.2.1', objectData: '{}', role: '' },
      })
    await eventually('all are told', () => changes.length >= 40)
    expect(changes).toEqual(names(40))
    expect(companion.calls).toEqual([])
  })
})
