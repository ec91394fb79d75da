import { describe, expect, it } from 'vitest'
import type { User } from '../../src/accounts/user.ts'
import { createMemoryUsageLedger } from '../../src/files/usage-ledger.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { eachPlace } from '../helpers/places.ts'
import { attrs, get, listAll, namesOf, put, SftpPeer, u32, u64 } from '../helpers/sftp-peer.ts'
import { filesOn, homeOn } from '../helpers/user-files.ts'

const [READ, WRITE, CREATE, TRUNCATE] = [1, 2, 8, 16]
const fresh = WRITE | CREATE | TRUNCATE

eachPlace('quotas', (place) => {
  const limited = (size: number, files = 0) => {
    const counter = createMemoryUsageLedger().user('ada')
    const home = homeOn(place.backend(), { counter, limits: { size, files } })
    return { counter, greeted: () => SftpPeer.greeted(place.files({ home })) }
  }

  it('D-57 stops a file that grows past the quota, and counts nothing for it', async () => {
    const { counter, greeted } = limited(1000)
    await using peer = await greeted()
    await put(peer, '/a', Buffer.alloc(600))
    const handle = await peer.open('/b', fresh)
    expect(await peer.status(6, handle, u64(0), Buffer.alloc(400))).toBe(0)
    expect(await peer.status(6, handle, u64(400), Buffer.alloc(1))).toBe(4)
    expect(await peer.status(4, handle)).toBe(4)
    expect(await peer.status(17, '/b')).toBe(2)
    expect(counter).toMatchObject({ size: 600, files: 1 })
  })

  it('holds for all sessions together', async () => {
    const { counter, greeted } = limited(1000)
    await using one = await greeted()
    await using two = await greeted()
    const first = await one.open('/a', fresh)
    const second = await two.open('/b', fresh)
    expect(await one.status(6, first, u64(0), Buffer.alloc(700))).toBe(0)
    expect(await two.status(6, second, u64(0), Buffer.alloc(700))).toBe(4)
    expect(await one.status(4, first)).toBe(0)
    expect(await two.status(4, second)).toBe(4)
    expect(counter).toMatchObject({ size: 700, files: 1 })
  })

  it('counts a replaced file once, whatever the order of things', async () => {
    const { counter, greeted } = limited(1000)
    await using peer = await greeted()
    await put(peer, '/a', Buffer.alloc(900))
    await put(peer, '/a', Buffer.alloc(950))
    expect(counter).toMatchObject({ size: 950, files: 1 })
    await put(peer, '/b', Buffer.alloc(50))
    expect(await peer.status(200, 'posix-rename@openssh.com', '/b', '/a')).toBe(0)
    expect(counter).toMatchObject({ size: 50, files: 1 })
    expect(await peer.status(9, '/a', attrs({ size: 10 }))).toBe(0)
    expect(counter.size).toBe(10)
    expect(await peer.status(9, '/a', attrs({ size: 2000 }))).toBe(4)
    const handle = await peer.open('/a', WRITE)
    expect(await peer.status(10, handle, attrs({ size: 500 }))).toBe(0)
    expect(await peer.status(10, handle, attrs({ size: 20 }))).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(counter.size).toBe(20)
    expect(await peer.status(13, '/a')).toBe(0)
    expect(counter).toMatchObject({ size: 0, files: 0 })
  })

  it('limits the number of files', async () => {
    const { counter, greeted } = limited(0, 2)
    const peer = await greeted()
    await put(peer, '/a', 'x')
    const handle = await peer.open('/b', fresh)
    expect(await peer.status(3, '/c', u32(fresh), u32(0))).toBe(4)
    expect(await peer.status(6, handle, u64(0), 'half')).toBe(0)
    await peer[Symbol.asyncDispose]()
    expect(counter).toMatchObject({ files: 1, size: 1 })
  })
})

eachPlace('data transfer quotas', (place) => {
  const megabyte = 1024 * 1024
  const limited = (limits: Partial<User>) => {
    const ledger = createMemoryUsageLedger()
    const greeted = () => SftpPeer.greeted(place.files({ ledger, user: limits }))
    return { moved: ledger.transfers('ada'), greeted }
  }

  it('cut an upload in the middle, for all sessions together, and the file does not appear', async () => {
    const { moved, greeted } = limited({ upload_data_transfer: 1 })
    await using one = await greeted()
    await using two = await greeted()
    await put(one, '/a', Buffer.alloc(megabyte - 10_000))
    const handle = await two.open('/b', fresh)
    expect(await two.status(6, handle, u64(0), Buffer.alloc(10_000))).toBe(0)
    expect(await two.status(6, handle, u64(10_000), 'x')).toBe(4)
    expect(await two.status(4, handle)).toBe(4)
    expect(await two.status(17, '/b')).toBe(2)
    expect(await one.status(3, '/c', u32(fresh), u32(0))).toBe(4)
    expect((await get(one, '/a')).length).toBe(megabyte - 10_000)
    expect(moved).toMatchObject({ upload: megabyte, download: megabyte - 10_000 })
  })

  it('cut a download in the middle', async () => {
    const { moved, greeted } = limited({ download_data_transfer: 1 })
    await using peer = await greeted()
    await put(peer, '/a', Buffer.alloc(600_000))
    expect((await get(peer, '/a')).length).toBe(600_000)
    const handle = await peer.open('/a', READ)
    let at = 0
    while ((await peer.request(5, handle, u64(at), u32(32_768))).type === 103) at += 32_768
    expect(at).toBeGreaterThan(400_000)
    expect(moved.download).toBeLessThanOrEqual(megabyte)
    expect(moved.upload).toBe(600_000)
  })

  it('hold for both directions together where a total is set', async () => {
    const { moved, greeted } = limited({ total_data_transfer: 1, upload_data_transfer: 100 })
    await using peer = await greeted()
    await put(peer, '/a', Buffer.alloc(megabyte / 2))
    expect((await get(peer, '/a')).length).toBe(megabyte / 2)
    expect(moved).toMatchObject({ upload: megabyte / 2, download: megabyte / 2 })
    expect(await peer.status(3, '/a', u32(READ), u32(0))).toBe(4)
    expect(await peer.status(3, '/b', u32(fresh), u32(0))).toBe(4)
  })
})

eachPlace('permissions over SFTP', (place) => {
  it('tells "upload" from "overwrite", "delete" from "rename", each alone', async () => {
    await using admin = await SftpPeer.greeted(place.files())
    await put(admin, '/f', 'x')
    expect(await admin.status(14, '/d', u32(0))).toBe(0)
    const withRights = (
      ...rights: ('upload' | 'overwrite' | 'download' | 'delete_files' | 'rename_files')[]
    ) => SftpPeer.greeted(place.files({ user: { permissions: { '/': rights } } }))
    await using uploader = await withRights('upload')
    expect(await uploader.status(3, '/f', u32(fresh), u32(0))).toBe(3)
    expect(await uploader.status(3, '/f', u32(READ), u32(0))).toBe(3)
    await uploader.open('/new', fresh)
    await using overwriter = await withRights('overwrite')
    expect(await overwriter.status(3, '/other', u32(fresh), u32(0))).toBe(3)
    await overwriter.open('/f', WRITE)
    await using deleter = await withRights('delete_files')
    expect(await deleter.status(15, '/d')).toBe(3)
    expect(await deleter.status(18, '/f', '/g')).toBe(3)
    await using renamer = await withRights('rename_files')
    expect(await renamer.status(18, '/d', '/e')).toBe(3)
    expect(await renamer.status(18, '/f', '/g')).toBe(0)
    expect(await deleter.status(13, '/g')).toBe(0)
  })

  it('does not show or tell anything without "list", but lets a client find its place', async () => {
    const files = place.files({ user: { permissions: { '/': ['upload'] } } })
    await using peer = await SftpPeer.greeted(files)
    expect(namesOf(await peer.request(16, '.'))[0]?.name).toBe('/')
    expect(await peer.status(11, '/')).toBe(3)
    expect(await peer.status(17, '/f')).toBe(3)
    await put(peer, '/in', 'x')
  })

  it('hides what a pattern hides, and refuses what it refuses', async () => {
    await using admin = await SftpPeer.greeted(place.files())
    for (const name of ['a.txt', 'a.key', 'b.exe']) await put(admin, `/${name}`, name)
    expect(await admin.status(14, '/hidden.key', u32(0))).toBe(0)
    await put(admin, '/hidden.key/inside', 'x')
    const file_patterns = [{ path: '/', denied_patterns: ['*.KEY'], deny_policy: 1 as const }]
    await using peer = await SftpPeer.greeted(place.files({ user: { filters: { file_patterns } } }))
    expect((await listAll(peer, '/')).map(({ name }) => name).sort()).toEqual(['a.txt', 'b.exe'])
    expect(await peer.status(17, '/a.key')).toBe(2)
    expect(await peer.status(3, '/a.key', u32(READ), u32(0))).toBe(2)
    expect(await peer.status(3, '/new.key', u32(fresh), u32(0))).toBe(3)
    expect(await peer.status(13, '/a.key')).toBe(2)
    expect(await peer.status(11, '/hidden.key')).toBe(2)
    const refusing = [{ path: '/', denied_patterns: ['*.exe'], deny_policy: 0 as const }]
    await using other = await SftpPeer.greeted(
      place.files({ user: { filters: { file_patterns: refusing } } }),
    )
    expect((await other.request(17, '/b.exe')).type).toBe(105)
    expect(await other.status(3, '/b.exe', u32(READ), u32(0))).toBe(3)
    expect(await other.status(13, '/b.exe')).toBe(3)
    expect(await other.status(18, '/b.exe', '/c')).toBe(3)
    expect(await other.status(18, '/a.txt', '/c.exe')).toBe(3)
  })
})

describe('bandwidth', () => {
  it('keeps uploads and downloads at their rate', async () => {
    const files = filesOn(createMemoryBackend(), {
      user: { upload_bandwidth: 400, download_bandwidth: 400 },
    })
    await using peer = await SftpPeer.greeted(files)
    const start = performance.now()
    await put(peer, '/f', Buffer.alloc(200 * 1024))
    const uploaded = performance.now()
    expect(uploaded - start).toBeGreaterThan(350)
    expect(uploaded - start).toBeLessThan(2000)
    expect((await get(peer, '/f')).length).toBe(200 * 1024)
    expect(performance.now() - uploaded).toBeGreaterThan(350)
  })

  it('C-16 does not keep a vanished client waiting for its rate', async () => {
    const files = filesOn(createMemoryBackend(), { user: { upload_bandwidth: 1 } })
    const peer = await SftpPeer.greeted(files)
    const handle = await peer.open('/f', fresh)
    void peer.request(6, handle, u64(0), Buffer.alloc(200_000)).catch(() => {})
    const start = performance.now()
    peer.vanish()
    await peer.session.ended
    expect(performance.now() - start).toBeLessThan(1000)
  })
})
