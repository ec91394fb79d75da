import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { EventLog } from '../../src/events/event-log.ts'
import { createMemoryUsageLedger } from '../../src/files/usage-ledger.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { noted } from '../helpers/noted-events.ts'
import { attributesOf, get, put, SftpPeer, u32, u64 } from '../helpers/sftp-peer.ts'
import { filesOn, homeOn } from '../helpers/user-files.ts'

const [WRITE, CREATE, TRUNCATE] = [2, 8, 16]
const fresh = WRITE | CREATE | TRUNCATE

describe('events', () => {
  it('tell of an upload with the fields of SFTPGo, written down before it is done and committed before the answer', async () => {
    const { log, steps, events } = noted([], ['upload', 'first-upload'])
    const backend = createMemoryBackend()
    const files = filesOn(backend, {
      home: homeOn(backend, { realRoot: '/srv/ada' }),
      events: log,
      ledger: createMemoryUsageLedger(),
      sessionId: 'SFTP_c0ffee_1',
      user: { role: 'staff' },
    })
    await using peer = await SftpPeer.greeted(files)
    const handle = await peer.open('/f', fresh)
    expect(steps).toEqual(['intend upload'])
    expect(await peer.status(6, handle, u64(0), 'content')).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(steps).toEqual(['intend upload', 'commit upload', 'record first-upload'])
    expect(events[0]).toMatchObject({
      ...{ kind: 'file', action: 'upload', username: 'ada', role: 'staff', path: '/f', size: 7, status: 1 },
      ...{ storagePath: '/srv/ada/f', protocol: 'SFTP', address: '192.0.2.1', sessionId: 'SFTP_c0ffee_1' },
      ...{ filesystemProvider: 0, openFlags: 0 },
    })
    await put(peer, '/g', 'x')
    expect(steps.filter((step) => step === 'record first-upload')).toHaveLength(1)
  })

  it('tell a restart how to find out: the part, the final name, the inode', async () => {
    const { log, intents } = noted()
    const backend = createMemoryBackend()
    const files = filesOn(backend, { home: homeOn(backend, { realRoot: '/srv/ada' }), events: log })
    await using peer = await SftpPeer.greeted(files)
    const handle = await peer.open('/f', fresh)
    const check = intents[0]?.check
    expect(check).toMatchObject({ of: 'publish', finalPath: '/srv/ada/f' })
    expect(check?.of === 'publish' && check.partPath).toMatch(/^\/srv\/ada\/\.sftpgo-upload\..*f$/)
    expect(check?.of === 'publish' && check.inode).toBeGreaterThan(0)
    expect(await peer.status(4, handle)).toBe(0)
    await peer.open('/f', WRITE)
    expect(intents[1]?.check).toMatchObject({ of: 'in-place', finalPath: '/srv/ada/f' })
  })

  it('tell of a cut upload with status 2, of one over a limit with status 3 and size 0', async () => {
    const { log, only } = noted()
    const files = filesOn(createMemoryBackend(), {
      events: log,
      user: { filters: { max_upload_file_size: 10 } },
    })
    const peer = await SftpPeer.greeted(files)
    const large = await peer.open('/large', fresh)
    expect(await peer.status(6, large, u64(0), 'more than ten bytes')).toBe(4)
    expect(await peer.status(4, large)).toBe(4)
    expect(only('upload').at(-1)).toMatchObject({ status: 3, size: 0 })
    const cut = await peer.open('/cut', fresh)
    expect(await peer.status(6, cut, u64(0), 'half')).toBe(0)
    await peer[Symbol.asyncDispose]()
    expect(only('upload').at(-1)).toMatchObject({ path: '/cut', status: 2, size: 4 })
  })

  it('carry the SHA-256 of an upload when asked, also of one written out of order', async () => {
    const { log, only } = noted()
    const files = filesOn(createMemoryBackend(), { events: log, policy: { checksum: true } })
    await using peer = await SftpPeer.greeted(files)
    const sha256 = createHash('sha256').update('0123456789').digest('hex')
    await put(peer, '/f', '0123456789')
    expect(only('upload').at(-1)?.metadata).toEqual({ sha256 })
    const handle = await peer.open('/g', fresh)
    expect(await peer.status(6, handle, u64(5), '56789')).toBe(0)
    expect(await peer.status(6, handle, u64(0), '01234')).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(only('upload').at(-1)?.metadata).toEqual({ sha256 })
  })

  it('tell of downloads, deletes, renames and directories, and not of what failed', async () => {
    const { log, steps, only } = noted()
    const files = filesOn(createMemoryBackend(), { events: log, ledger: createMemoryUsageLedger() })
    await using peer = await SftpPeer.greeted(files)
    await put(peer, '/f', 'content')
    await get(peer, '/f')
    expect(only('download')).toMatchObject([{ path: '/f', size: 7, status: 1 }])
    expect(only('first-download')).toHaveLength(1)
    expect(await peer.status(18, '/f', '/g')).toBe(0)
    expect(only('rename')).toMatchObject([{ path: '/f', targetPath: '/g', storageTargetPath: '/g' }])
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    expect(await peer.status(15, '/d')).toBe(0)
    expect(await peer.status(13, '/g')).toBe(0)
    expect(only('delete')).toMatchObject([{ path: '/g', size: 7 }])
    expect([only('mkdir').length, only('rmdir').length]).toEqual([1, 1])
    steps.length = 0
    expect(await peer.status(15, '/missing')).toBe(2)
    expect(await peer.status(18, '/missing', '/x')).toBe(2)
    expect(await peer.status(14, '/missing/d', u32(0))).toBe(2)
    expect(steps.filter((step) => step.startsWith('commit'))).toEqual([])
  })

  it('ask before uploads, downloads and deletes, and take no for an answer', async () => {
    const { log, only } = noted(['pre-upload', 'pre-download', 'pre-delete'])
    const backend = createMemoryBackend()
    await using admin = await SftpPeer.greeted(filesOn(backend))
    await put(admin, '/f', 'content')
    await using peer = await SftpPeer.greeted(filesOn(backend, { events: log }))
    expect(await peer.status(3, '/f', u32(1), u32(0))).toBe(3)
    expect(await peer.status(3, '/f', u32(fresh), u32(0))).toBe(3)
    expect(await peer.status(13, '/f')).toBe(3)
    expect((await get(admin, '/f')).toString()).toBe('content')
    const asking = noted()
    await using other = await SftpPeer.greeted(filesOn(backend, { events: asking.log }))
    await put(other, '/f', 'new')
    expect(asking.only('pre-upload')).toMatchObject([{ size: 7, openFlags: 1 | 64 | 512 }])
    expect(only('upload')).toEqual([])
  })

  it('tell of a name given to an upload before it is complete, and of one taken away from it', async () => {
    const { log, events } = noted()
    const backend = createMemoryBackend()
    await using peer = await SftpPeer.greeted(filesOn(backend, { events: log }))
    const renamed = await peer.open('/a.part', fresh)
    expect(await peer.status(6, renamed, u64(0), 'content')).toBe(0)
    expect(await peer.status(18, '/a.part', '/a')).toBe(0)
    expect(await peer.status(4, renamed)).toBe(0)
    const removed = await peer.open('/b', fresh)
    expect(await peer.status(6, removed, u64(0), 'half')).toBe(0)
    expect(await peer.status(13, '/b')).toBe(0)
    expect(await peer.status(4, removed)).toBe(0)
    expect(events.filter(({ action }) => !action.startsWith('pre-'))).toMatchObject([
      { action: 'rename', path: '/a.part', targetPath: '/a' },
      { action: 'upload', path: '/a', status: 1, size: 7 },
      { action: 'delete', path: '/b', size: 4 },
      { action: 'upload', path: '/b', status: 2, size: 4 },
    ])
  })

  it('keep an upload whose removal was refused', async () => {
    const { log, only } = noted(['pre-delete'])
    const backend = createMemoryBackend()
    await using peer = await SftpPeer.greeted(filesOn(backend, { events: log }))
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'content')).toBe(0)
    expect(await peer.status(13, '/f')).toBe(3)
    expect(await peer.status(4, handle)).toBe(0)
    expect((await get(peer, '/f')).toString()).toBe('content')
    expect(only('upload')).toMatchObject([{ status: 1 }])
  })

  it('are committed only when the names are on the disk, where that was promised', async () => {
    const { log, steps } = noted([], ['upload', 'rename', 'delete', 'mkdir', 'rmdir'])
    const backend: Backend = {
      ...createMemoryBackend(),
      async syncDirectory(path) {
        steps.push(`sync ${path}`)
      },
    }
    await using peer = await SftpPeer.greeted(filesOn(backend, { events: log, policy: { durable: true } }))
    const stepsOf = async (action: Promise<unknown>): Promise<readonly string[]> => {
      steps.length = 0
      await action
      return steps.filter((step) => !step.startsWith('intend'))
    }
    expect(await stepsOf(peer.status(14, '/d', u32(0)))).toEqual(['sync /', 'commit mkdir'])
    expect(await stepsOf(put(peer, '/d/f', 'content'))).toEqual(['sync /d', 'commit upload'])
    expect(await stepsOf(peer.status(18, '/d/f', '/g'))).toEqual(['sync /d', 'sync /', 'commit rename'])
    expect(await stepsOf(peer.status(13, '/g'))).toEqual(['sync /', 'commit delete'])
    expect(await stepsOf(peer.status(15, '/d'))).toEqual(['sync /', 'commit rmdir'])
  })

  it('answer FAILURE when the commit cannot be written down', async () => {
    const { log } = noted()
    const broken: EventLog = {
      ...log,
      intend: async () => ({
        commit: async () => Promise.reject(new Error('the database is gone')),
        async abandon() {},
      }),
    }
    await using peer = await SftpPeer.greeted(filesOn(createMemoryBackend(), { events: broken }))
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(4, handle)).toBe(4)
    expect(attributesOf(await peer.request(17, '/')).mode & 0o170000).toBe(0o040000)
  })
})
