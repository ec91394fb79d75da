import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openConnection } from '../../src/database/connection.ts'
import { findDriver, requireHere } from '../../src/database/driver.ts'
import { runCommand } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'
import { prepareUploadRig } from './upload-rig.ts'

/** The name that `data_provider.name` has by itself. */
const databaseName = 'sftpgo.db'

/** Whether this machine lets us have a small disk. */
const canMount = ((): boolean => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  using disk = smallDisk()
  return disk.isMounted
})()

type Rig = Awaited<ReturnType<typeof prepareUploadRig>>

/** Uploads while `fault` holds and until two hundred more are acknowledged after it; then everything must be told. */
async function through(rig: Rig, fault: () => Promise<() => void>): Promise<void> {
  const server = await rig.start()
  const stop = new AbortController()
  const uploading = rig.upload(server, 0, { goesOn: true, signal: stop.signal })
  await until('uploads are under way', () => rig.ledger.length > 50)
  const heal = await fault()
  heal()
  const before = rig.ledger.length
  const began = performance.now()
  await until('the server works again', () => rig.ledger.length > before, 5_000)
  expect(performance.now() - began).toBeLessThan(5_000)
  await until('more is acknowledged', () => rig.ledger.length > before + 200, 30_000)
  stop.abort()
  await uploading
  expect(await server.stop('SIGTERM')).toBe(0)
  await rig.lastLife()
  expect(rig.problem()).toBeUndefined()
}

describe('while the database of events', () => {
  it.each([
    ['is locked, events in their journal: nobody waits for it (F-16)', false],
    ['is locked, durable events: operations fail and nothing is acknowledged that is not told (F-16)', true],
  ])('%s', { timeout: 120_000 }, async (_what, durable) => {
    await using rig = await prepareUploadRig({ events: { durable } })
    await through(rig, async () => {
      const other = openConnection(requireHere, findDriver(), join(rig.stateFolder, databaseName))
      other.exec('pragma busy_timeout=10000')
      other.exec('begin immediate')
      const before = rig.ledger.length
      await (durable
        ? until('somebody is refused', () => rig.refused.length > 0, 30_000)
        : until('uploads go on', () => rig.ledger.length > before + 400, 30_000))
      return () => {
        other.exec('rollback')
        other.close()
      }
    })
    expect(new Set(rig.refused)).toEqual(new Set(durable ? ['Input or output error'] : []))
  })

  it.skipIf(!canMount)(
    'has no disk left, operations fail as "no space" and all goes on within five seconds of its return (F-16, F-17)' +
      (canMount ? '' : ' (skipped: may not mount)'),
    { timeout: 120_000 },
    async () => {
      for (const durable of [false, true]) {
        using disk = smallDisk()
        await using rig = await prepareUploadRig({ events: { durable }, stateFolder: disk.path })
        await through(rig, async () => {
          disk.fill()
          await until('somebody is refused', () => rig.refused.length > 20, 30_000)
          return disk.free
        })
        expect(new Set(rig.refused)).toEqual(new Set(['No space left']))
      }
    },
  )

  it('is damaged, the server says which file and does not start; put away, the journal is told', async () => {
    await using rig = await prepareUploadRig()
    const server = await rig.start()
    const uploading = rig.upload(server, 0)
    await until('uploads are under way', () => rig.ledger.length > 100)
    await server.stop('SIGKILL')
    await uploading
    const file = join(rig.stateFolder, databaseName)
    const journal = readFileSync(join(rig.stateFolder, 'events.journal'))
    writeFileSync(file, Buffer.alloc(8_192, 'not a database '))
    for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true })
    const { status, stderr } = runCommand(['serve', '--config', rig.config])
    expect(status).not.toBe(0)
    expect(stderr).toContain(databaseName)
    expect(readFileSync(join(rig.stateFolder, 'events.journal')).equals(journal)).toBe(true)
    renameSync(file, `${file}.damaged`)
    const again = await rig.start()
    const waited = [...journal.toString().matchAll(/^\["event","([^"]+)"/gm)].map(([, id]) => id)
    await until('what the journal held is told', () => {
      const told = new Set(rig.told().map(({ id }) => id))
      return waited.every((id) => told.has(id ?? ''))
    })
    expect(await again.stop()).toBe(0)
  })

  it.each([
    ['refuse', 'so do downloads a little later, because nothing that was asked for is lost'],
    ['drop_best_effort', 'downloads go on and are counted as dropped'],
  ])('has reached its budget, uploads are refused with "%s"; %s', { timeout: 120_000 }, async (whenFull) => {
    const events = { disk_budget: '1MiB', when_full: whenFull }
    await using rig = await prepareUploadRig({ events, alsoTold: ['download'] })
    const server = await rig.start()
    const letGo = rig.holdPlugin()
    const stop = new AbortController()
    const uploading = rig.upload(server, 0, { goesOn: true, signal: stop.signal })
    await until('uploads are refused', () => rig.refused.length > 20, 30_000)
    stop.abort()
    await uploading
    const there = rig.ledger.find(({ username, key }) => username === 'user0' && /^rename .*-0 0$/.test(key))
    const downloads = await rig.download(server, there?.key.split(' ')[2] ?? '', 3_000)
    expect(new Set([...rig.refused, ...downloads])).toEqual(new Set(['No space left']))
    expect(downloads.length > 0).toBe(whenFull === 'refuse')
    expect(server.log().includes('best effort events not written down')).toBe(whenFull !== 'refuse')
    letGo()
    expect(await server.stop('SIGTERM')).toBe(0)
    await rig.lastLife()
    expect(rig.ledger.length).toBeGreaterThan(20)
  })
})

/** A disk of a few megabytes. */
function smallDisk() {
  const folder = temporaryDirectory()
  const path = folder.file('small')
  mkdirSync(path)
  const options = ['-t', 'tmpfs', '-o', 'size=24m,mode=700', 'tmpfs', path]
  const isMounted = spawnSync('mount', options).status === 0
  const ballast = join(path, 'ballast')
  return {
    ...{ path, isMounted },
    fill() {
      // Down to single bytes: the last page may be half full.
      for (const size of [1 << 20, 1 << 12]) {
        try {
          for (;;) writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' })
        } catch {
          // That was all.
        }
      }
    },
    free: () => rmSync(ballast),
    [Symbol.dispose]() {
      // Lazily: a process of the rig may be ending still.
      if (isMounted) spawnSync('umount', ['-l', path])
      folder[Symbol.dispose]()
    },
  }
}
