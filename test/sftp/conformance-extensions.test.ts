import { statSync, truncateSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { virtualPath } from '../../src/base/virtual-path.ts'
import { createMemoryUsageLedger } from '../../src/files/usage-ledger.ts'
import { peopleFor } from '../../src/sftp/people.ts'
import { openLocalBackend } from '../../src/storage/local.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { eachPlace } from '../helpers/places.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { filesOn, homeOn } from '../helpers/user-files.ts'
import { get, init, namesOf, packet, put, raw, SftpPeer, stringsOf, u32, u64 } from '../helpers/sftp-peer.ts'

const [READ, WRITE, APPEND, CREATE, TRUNCATE] = [1, 2, 4, 8, 16]

/** The names of the extensions that a session announces. */
async function announced(peer: SftpPeer): Promise<string[]> {
  peer.send(init())
  await peer.until(() => peer.replies.some(({ type }) => type === 2))
  const version = peer.replies.find(({ type }) => type === 2)
  return stringsOf(version?.body ?? Buffer.alloc(0))
    .filter((_, index) => index % 2 === 0)
    .map(String)
}

eachPlace('extensions', (place) => {
  const greeted = (): Promise<SftpPeer> => SftpPeer.greeted(place.files())

  it('C-81 announces only what works for this person', async () => {
    await using all = new SftpPeer(place.files())
    const names = await announced(all)
    for (const name of [
      ...['posix-rename@openssh.com', 'statvfs@openssh.com', 'fstatvfs@openssh.com', 'hardlink@openssh.com'],
      ...['fsync@openssh.com', 'lsetstat@openssh.com', 'limits@openssh.com', 'expand-path@openssh.com'],
      ...['copy-data', 'home-directory', 'users-groups-by-id@openssh.com', 'vendor-id'],
    ]) {
      expect(names).toContain(name)
    }
    await using noLinks = new SftpPeer(place.files({ policy: { hardLinks: false } }))
    expect(await announced(noLinks)).not.toContain('hardlink@openssh.com')
    await using denied = new SftpPeer(place.files(), { allows: (name) => name !== 'statvfs' })
    expect(await announced(denied)).not.toContain('statvfs@openssh.com')
    expect(await denied.status(200, 'statvfs@openssh.com', '/')).toBe(3)
  })

  it('C-82 tells limits and honours them', async () => {
    await using peer = await greeted()
    const reply = await peer.request(200, 'limits@openssh.com')
    expect(reply.type).toBe(201)
    const numbers = [0, 8, 16, 24].map((at) => Number(reply.body.readBigUInt64BE(at)))
    expect(numbers).toEqual([262_144, 261_120, 261_120, 256])
    const content = Buffer.alloc(261_120, 3)
    const handle = await peer.open('/f', READ | WRITE | CREATE)
    expect(await peer.status(6, handle, u64(0), content)).toBe(0)
    const data = await peer.request(5, handle, u64(0), u32(261_120))
    expect(data.body.length).toBe(4 + 261_120)
  })

  it('C-83 tells how full the place is, and how full the quota', async () => {
    await using peer = await greeted()
    const reply = await peer.request(200, 'statvfs@openssh.com', '/')
    expect(reply.body.length).toBe(11 * 8)
    expect(Number(reply.body.readBigUInt64BE(80))).toBe(255)
    await put(peer, '/f', 'x')
    const handle = await peer.open('/f', READ)
    expect((await peer.request(200, 'fstatvfs@openssh.com', handle)).body.length).toBe(11 * 8)
    for (const [size, blockSize, blocks] of [
      [8192, 4096, 2],
      [1, 1, 1],
      [1000, 256, 3],
    ] as const) {
      const counter = createMemoryUsageLedger().user('ada')
      const home = homeOn(place.backend(), { counter, limits: { size, files: 0 } })
      await using limited = await SftpPeer.greeted(place.files({ home }))
      const narrow = (await limited.request(200, 'statvfs@openssh.com', '/')).body
      expect([0, 16].map((at) => Number(narrow.readBigUInt64BE(at)))).toEqual([blockSize, blocks])
      counter.add({ size: size * 2, files: 0 })
      const full = (await limited.request(200, 'statvfs@openssh.com', '/')).body
      expect([24, 32].map((at) => Number(full.readBigUInt64BE(at)))).toEqual([0, 0])
    }
  })

  it('C-84 syncs files, and answers "no such file" for directories and closed handles', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', WRITE | CREATE)
    expect(await peer.status(6, handle, u64(0), 'x')).toBe(0)
    expect(await peer.status(200, 'fsync@openssh.com', handle)).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(await peer.status(200, 'fsync@openssh.com', handle)).toBe(2)
    const directory = await peer.handle(11, '/')
    expect(await peer.status(200, 'fsync@openssh.com', directory)).toBe(2)
  })

  it('C-85 copies ranges between handles, to the end with length 0, never onto itself', async () => {
    await using peer = await greeted()
    const content = Buffer.from(Array.from({ length: 700_000 }, (_, index) => index % 251))
    await put(peer, '/source', content)
    const source = await peer.open('/source', READ | WRITE)
    const target = await peer.open('/target', WRITE | CREATE | TRUNCATE)
    const copy = (from: Buffer, at: number, length: number, to: Buffer, into: number): Promise<number> =>
      peer.status(200, 'copy-data', from, u64(at), u64(length), to, u64(into))
    expect(await copy(source, 100, 50, target, 0)).toBe(0)
    expect(await copy(source, 0, 0, target, 50)).toBe(0)
    expect(await copy(source, 600_000, 200_000, target, 0)).toBe(1)
    expect(await copy(source, 0, 10, source, 20)).toBe(4)
    const again = await peer.open('/source', READ)
    expect(await copy(again, 0, 10, source, 20)).toBe(4)
    expect(await copy(source, 0, 10, Buffer.from('nothing!'), 0)).toBe(4)
    expect(await copy(target, 0, 10, source, 0)).toBe(4)
    expect(await copy(source, 0, 0, target, 50)).toBe(0)
    expect(await peer.status(4, target)).toBe(0)
    expect((await get(peer, '/target')).subarray(50).equals(content)).toBe(true)
  })

  it('C-85 copies to the end of what was opened to append, and never onto a second name of the source', async () => {
    await using peer = await greeted()
    await put(peer, '/source', '0123456789')
    await put(peer, '/log', 'log:')
    expect(await peer.status(200, 'hardlink@openssh.com', '/source', '/second')).toBe(0)
    const [source, log] = [await peer.open('/source', READ), await peer.open('/log', WRITE | APPEND)]
    const second = await peer.open('/second', WRITE)
    const copy = (to: Buffer): Promise<number> =>
      peer.status(200, 'copy-data', source, u64(2), u64(3), to, u64(0))
    expect(await copy(log)).toBe(0)
    expect(await copy(second)).toBe(4)
    expect(await peer.status(4, log)).toBe(0)
    expect((await get(peer, '/log')).toString()).toBe('log:234')
    expect((await get(peer, '/source')).toString()).toBe('0123456789')
  })

  it('C-85 counts copied bytes in the quota', async () => {
    const counter = createMemoryUsageLedger().user('ada')
    const home = homeOn(place.backend(), { counter, limits: { size: 15_000, files: 0 } })
    await using peer = await SftpPeer.greeted(place.files({ home }))
    await put(peer, '/source', Buffer.alloc(10_000))
    const source = await peer.open('/source', READ)
    const target = await peer.open('/target', WRITE | CREATE | TRUNCATE)
    expect(await peer.status(200, 'copy-data', source, u64(0), u64(0), target, u64(0))).toBe(4)
    expect(await peer.status(4, target)).toBe(4)
    expect(counter.size).toBe(10_000)
  })

  it('C-86 expands "~", and says the same of every other user', async () => {
    const people = peopleFor({ username: 'ada', uid: 1000 })
    await using peer = await SftpPeer.greeted(place.files(), { people })
    const path = async (extension: string, text: string): Promise<string | undefined> =>
      namesOf(await peer.request(200, extension, text))[0]?.name
    expect(await path('expand-path@openssh.com', '~')).toBe('/')
    expect(await path('expand-path@openssh.com', '~/x')).toBe('/x')
    expect(await path('expand-path@openssh.com', '/a/../b')).toBe('/b')
    expect(await path('home-directory', '')).toBe('/')
    expect(await path('home-directory', 'ada')).toBe('/')
    for (const other of ['root', 'nobody-has-this-name']) {
      expect(await peer.status(200, 'home-directory', other)).toBe(2)
      expect(await peer.status(200, 'expand-path@openssh.com', `~${other}/x`)).toBe(2)
    }
  })

  it('C-87 names ids with empty strings where there is no name, for 10,000 ids too', async () => {
    const people = peopleFor({ username: 'ada', uid: 1000 })
    await using peer = await SftpPeer.greeted(place.files(), { people })
    const ids = (...list: number[]): Buffer => Buffer.concat(list.map((id) => u32(id).raw))
    const ask = async (users: Buffer, groups: Buffer): Promise<string[][]> => {
      const reply = await peer.request(200, 'users-groups-by-id@openssh.com', users, groups)
      return stringsOf(reply.body).map((part) => stringsOf(part).map(String))
    }
    expect(await ask(ids(1000, 0, 4_000_000_000), ids(0))).toEqual([['ada', '', ''], ['']])
    const many = await ask(ids(...Array.from({ length: 10_000 }, (_, index) => index)), ids())
    expect(many[0]).toHaveLength(10_000)
    expect(await peer.status(200, 'users-groups-by-id@openssh.com', Buffer.alloc(3), Buffer.alloc(0))).toBe(5)
  })
})

describe('read-only sessions', () => {
  it('S-38 refuses everything that writes, and nothing changes', async () => {
    const backend = createMemoryBackend()
    await using writer = await SftpPeer.greeted(filesOn(backend))
    await put(writer, '/f', 'content')
    await using peer = await SftpPeer.greeted(filesOn(backend), { readOnly: true })
    for (let flags = 0; flags < 64; flags += 1) {
      const reply = await peer.request(3, flags % 2 === 0 ? '/f' : '/new', u32(flags), u32(0))
      if ((flags & (WRITE | CREATE)) !== 0) expect(reply.type).toBe(101)
    }
    const handle = await peer.open('/f', READ)
    for (const [type, ...fields] of [
      [6, handle, u64(0), 'x'],
      [9, '/f', u32(0)],
      [10, handle, u32(0)],
      [13, '/f'],
      [14, '/d', u32(0)],
      [15, '/d'],
      [18, '/f', '/g'],
      [20, '/f', '/l'],
      [200, 'posix-rename@openssh.com', '/f', '/g'],
      [200, 'copy-data', handle, u64(0), u64(0), handle, u64(0)],
      [200, 'fsync@openssh.com', handle],
      [200, 'lsetstat@openssh.com', '/f', u32(0)],
    ] as const) {
      expect(await peer.status(type, ...fields)).toBe(3)
    }
    expect((await get(writer, '/f')).toString()).toBe('content')
    expect(await writer.status(17, '/new')).toBe(2)
  })
})

describe('attributes from hostile clients', () => {
  it('S-32 reads over extended attributes and refuses a count that the packet does not hold', async () => {
    await using peer = await SftpPeer.greeted(filesOn(createMemoryBackend()))
    await put(peer, '/f', 'x')
    const extended = raw(Buffer.concat([u32(0x80000000).raw, u32(0xffffffff).raw]))
    expect(await peer.status(9, '/f', extended)).toBe(5)
    const pair = Buffer.concat([u32(0x80000000).raw, u32(1).raw])
    expect(await peer.status(9, '/f', raw(pair), '__proto__', 'polluted')).toBe(0)
    expect(Object.prototype).not.toHaveProperty('polluted')
    expect(virtualPath('/f')).toBe('/f')
  })
})

describe('a copy that takes hours', () => {
  it('C-85 ends with the session', async () => {
    using directory = temporaryDirectory()
    const holeBytes = 2 ** 40
    writeFileSync(directory.file('hole'), '')
    truncateSync(directory.file('hole'), holeBytes)
    const backend = openLocalBackend({ root: directory.path })
    const peer = await SftpPeer.greeted(filesOn(backend, { policy: { uploadMode: 0 } }))
    const [hole, copy] = [await peer.open('/hole', READ), await peer.open('/copy', WRITE | CREATE)]
    peer.send(packet(200, u32(1), 'copy-data', hole, u64(0), u64(0), copy, u64(0)))
    const copied = (): number => statSync(directory.file('copy')).size
    await expect.poll(copied).toBeGreaterThan(0)
    peer.vanish()
    expect(await peer.session.ended).toBe('stream-closed')
    expect(copied()).toBeLessThan(holeBytes)
    await backend.close()
  })
})
