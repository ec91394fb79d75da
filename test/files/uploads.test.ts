import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { virtualPath } from '../../src/base/virtual-path.ts'
import { createActiveUploads } from '../../src/files/active-uploads.ts'
import { openPartJournal, sweepParts } from '../../src/files/part-journal.ts'
import { createMemoryUsageLedger } from '../../src/files/usage-ledger.ts'
import { silentLogger } from '../../src/base/log.ts'
import { openLocalBackend } from '../../src/storage/local.ts'
import { eachPlace } from '../helpers/places.ts'
import {
  attributesOf,
  attrs,
  dataOf,
  get,
  listAll,
  namesOf,
  put,
  readAll,
  SftpPeer,
  u32,
  u64,
} from '../helpers/sftp-peer.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { filesOn, homeOn } from '../helpers/user-files.ts'

const [READ, WRITE, CREATE, TRUNCATE] = [1, 2, 8, 16]
const fresh = WRITE | CREATE | TRUNCATE

eachPlace('uploads', (place) => {
  const greeted = (): Promise<SftpPeer> => SftpPeer.greeted(place.files())

  it('keeps the old file for everybody else until the new one is complete', async () => {
    await using peer = await greeted()
    await using other = await greeted()
    await put(peer, '/f', 'old version')
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'new')).toBe(0)
    expect((await get(other, '/f')).toString()).toBe('old version')
    expect(await peer.status(4, handle)).toBe(0)
    expect((await get(other, '/f')).toString()).toBe('new')
  })

  it('leaves the old file untouched when an upload is cut off, and nothing beside it', async () => {
    const peer = await greeted()
    await put(peer, '/f', 'old version')
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'new')).toBe(0)
    await peer[Symbol.asyncDispose]()
    await using other = await greeted()
    expect((await get(other, '/f')).toString()).toBe('old version')
    expect(await place.realNames()).toEqual(['f'])
  })

  it('S-45 hides the name under which an upload is written from every request', async () => {
    await using peer = await greeted()
    await using other = await greeted()
    const handle = await peer.open('/f', fresh)
    const [hidden] = await place.realNames()
    expect(hidden).toMatch(/^\.sftpgo-upload\..*\.f$/)
    const path = `/${hidden}`
    for (const session of [peer, other]) {
      expect(await listAll(session, '/')).toEqual([])
      expect(await session.status(17, path)).toBe(2)
      expect(await session.status(7, path)).toBe(2)
      expect(await session.status(3, path, u32(READ), u32(0))).toBe(2)
      expect(await session.status(3, path, u32(WRITE), u32(0))).toBe(3)
      expect(await session.status(3, '/.sftpgo-upload.mine', u32(fresh), u32(0))).toBe(3)
      expect(await session.status(13, path)).toBe(2)
      expect(await session.status(18, path, '/stolen')).toBe(2)
      expect(await session.status(9, path, attrs({ mode: 0o777 }))).toBe(2)
      expect(await session.status(16, path)).toBe(2)
      expect(await session.status(19, path)).toBe(2)
      expect(await session.status(14, '/.sftpgo-upload.d', u32(0))).toBe(3)
      expect(await session.status(20, path, '/link')).toBe(2)
      expect(await session.status(200, 'hardlink@openssh.com', path, '/link')).toBe(2)
    }
    expect(await peer.status(4, handle)).toBe(0)
    expect(await place.realNames()).toEqual(['f'])
  })

  describe('opens an existing file without emptying it, as scp does, and', () => {
    const rewriting = WRITE | CREATE

    it('keeps the old file until the new one is complete', async () => {
      await using peer = await greeted()
      await using other = await greeted()
      await put(peer, '/f', 'the old version')
      const handle = await peer.open('/f', rewriting)
      expect(await peer.status(6, handle, u64(0), 'brand ')).toBe(0)
      expect(await peer.status(6, handle, u64(6), 'new')).toBe(0)
      expect((await get(other, '/f')).toString()).toBe('the old version')
      expect(await peer.status(10, handle, attrs({ size: 9 }))).toBe(0)
      expect((await get(other, '/f')).toString()).toBe('the old version')
      expect((await get(peer, '/f')).toString()).toBe('brand new')
      expect(attributesOf(await peer.request(17, '/f')).size).toBe(9n)
      expect(await peer.status(4, handle)).toBe(0)
      expect((await get(other, '/f')).toString()).toBe('brand new')
      expect(await place.realNames()).toEqual(['f'])
    })

    it('leaves the old file untouched when cut off', async () => {
      const peer = await greeted()
      await put(peer, '/f', 'the old version')
      const handle = await peer.open('/f', rewriting)
      expect(await peer.status(6, handle, u64(0), 'new')).toBe(0)
      await peer[Symbol.asyncDispose]()
      await using other = await greeted()
      expect((await get(other, '/f')).toString()).toBe('the old version')
      expect(await place.realNames()).toEqual(['f'])
    })

    it('keeps what it did not write, and reads its own writes', async () => {
      await using peer = await greeted()
      await put(peer, '/f', 'the old version')
      const handle = await peer.open('/f', READ | WRITE)
      expect(await peer.status(6, handle, u64(0), 'one')).toBe(0)
      // A hole is filled from the old file.
      expect(await peer.status(6, handle, u64(4), 'n')).toBe(0)
      const whole = (await readAll(peer, handle)).toString()
      expect(whole).toBe('one nld version')
      expect(attributesOf(await peer.request(8, handle)).size).toBe(15n)
      expect(await peer.status(4, handle)).toBe(0)
      expect((await get(peer, '/f')).toString()).toBe('one nld version')
    })

    it('writes in place what begins elsewhere', async () => {
      await using peer = await greeted()
      await using other = await greeted()
      await put(peer, '/f', 'the old version')
      const handle = await peer.open('/f', rewriting)
      expect(await peer.status(6, handle, u64(4), 'new')).toBe(0)
      expect(await peer.status(6, handle, u64(0), 'THE')).toBe(0)
      expect((await get(other, '/f')).toString()).toBe('THE new version')
      expect(await peer.status(4, handle)).toBe(0)
    })

    it('copies no mountain of old content behind what was rewritten', async () => {
      using directory = temporaryDirectory()
      writeFileSync(directory.file('huge'), '')
      truncateSync(directory.file('huge'), 2 ** 40)
      const backend = openLocalBackend({ root: directory.path })
      await using peer = await SftpPeer.greeted(filesOn(backend))
      const handle = await peer.open('/huge', rewriting)
      expect(await peer.status(6, handle, u64(0), 'new')).toBe(0)
      expect(await peer.status(10, handle, attrs({ size: 2 ** 40 + 5 }))).toBe(0)
      expect(readdirSync(directory.path)).toEqual(['huge'])
      expect(await peer.status(6, handle, u64(3), '!')).toBe(0)
      expect(await peer.status(4, handle)).toBe(0)
      expect(dataOf(await peer.request(5, await peer.open('/huge', READ), u64(0), u32(5)))).toEqual(
        Buffer.from('new!\0'),
      )
      expect(statSync(directory.file('huge')).size).toBe(2 ** 40 + 5)
      await backend.close()
    })

    it('goes over to writing in place when a write is far away', async () => {
      await using peer = await greeted()
      await using other = await greeted()
      await put(peer, '/f', 'the old version')
      const handle = await peer.open('/f', rewriting)
      expect(await peer.status(6, handle, u64(0), 'THE')).toBe(0)
      expect(await peer.status(6, handle, u64(5_000_000), 'far')).toBe(0)
      expect((await get(other, '/f')).subarray(0, 15).toString()).toBe('THE old version')
      expect(await place.realNames()).toEqual(['f'])
      expect(await peer.status(4, handle)).toBe(0)
      const content = await get(other, '/f')
      expect(content.subarray(5_000_000).toString()).toBe('far')
    })

    it('counts what the file has in the end, or nothing when cut off', async () => {
      const counter = createMemoryUsageLedger().user('ada')
      const home = homeOn(place.backend(), { counter, limits: { size: 1000, files: 0 } })
      const peer = await SftpPeer.greeted(place.files({ home }))
      await put(peer, '/f', Buffer.alloc(100))
      const first = await peer.open('/f', rewriting)
      expect(await peer.status(6, first, u64(0), Buffer.alloc(300))).toBe(0)
      expect(await peer.status(4, first)).toBe(0)
      expect(counter).toMatchObject({ size: 300, files: 1 })
      const second = await peer.open('/f', rewriting)
      expect(await peer.status(6, second, u64(0), Buffer.alloc(500))).toBe(0)
      expect(await peer.status(6, second, u64(500), Buffer.alloc(501))).toBe(4)
      expect(await peer.status(4, second)).toBe(4)
      expect(counter).toMatchObject({ size: 300, files: 1 })
      const third = await peer.open('/f', rewriting)
      expect(await peer.status(6, third, u64(0), Buffer.alloc(400))).toBe(0)
      await peer[Symbol.asyncDispose]()
      expect(counter).toMatchObject({ size: 300, files: 1 })
    })
  })

  it('D-61 answers STAT of the final name on the uploading session with what was written', async () => {
    await using peer = await greeted()
    await using other = await greeted()
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'twelve bytes')).toBe(0)
    expect(attributesOf(await peer.request(17, '/f')).size).toBe(12n)
    expect(attributesOf(await peer.request(7, '/f')).size).toBe(12n)
    expect(await other.status(17, '/f')).toBe(2)
    expect((await get(peer, '/f')).toString()).toBe('twelve bytes')
    expect(await peer.status(9, '/f', attrs({ times: [5, 6] }))).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(attributesOf(await other.request(17, '/f'))).toMatchObject({ size: 12n, modifyTime: 6 })
  })

  it('resumes, appends and writes anywhere in place', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'first half')
    const resume = await peer.open('/f', WRITE | CREATE)
    expect(await peer.status(6, resume, u64(10), ' second half')).toBe(0)
    expect(await place.realNames()).toEqual(['f'])
    expect(await peer.status(4, resume)).toBe(0)
    const random = await peer.open('/f', READ | WRITE)
    expect(await peer.status(6, random, u64(0), 'FIRST')).toBe(0)
    expect(await peer.status(4, random)).toBe(0)
    expect((await get(peer, '/f')).toString()).toBe('FIRST half second half')
  })

  it('keeps the mode of the file that an upload replaces', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await peer.status(9, '/f', attrs({ mode: 0o604 }))).toBe(0)
    await put(peer, '/f', 'y')
    expect(attributesOf(await peer.request(17, '/f')).mode & 0o7777).toBe(0o604)
  })

  it('replaces what a link leads to, not the link', async () => {
    await using peer = await greeted()
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    await put(peer, '/d/real', 'old')
    expect(await peer.status(20, '/d/real', '/link')).toBe(0)
    await put(peer, '/link', 'new')
    expect((await get(peer, '/d/real')).toString()).toBe('new')
    expect(namesOf(await peer.request(19, '/link'))[0]?.name).toBe('/d/real')
  })

  it('makes nothing of an upload whose name was removed before it was complete', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'x')).toBe(0)
    expect(await peer.status(13, '/f')).toBe(0)
    expect(await peer.status(17, '/f')).toBe(2)
    expect(attributesOf(await peer.request(8, handle)).size).toBe(1n)
    expect(await peer.status(4, handle)).toBe(0)
    expect(await place.realNames()).toEqual([])
  })

  it('takes the name of an upload under way for used, also where its part has no name yet', async () => {
    await using peer = await greeted()
    await put(peer, '/other', 'other')
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'mine')).toBe(0)
    expect(await peer.status(14, '/f', u32(0))).toBe(4)
    expect(await peer.status(20, '/other', '/f')).toBe(4)
    expect(await peer.status(18, '/other', '/f')).toBe(4)
    expect(await peer.status(200, 'posix-rename@openssh.com', '/f', '/d')).toBe(4)
    expect((await peer.request(200, 'statvfs@openssh.com', '/f')).type).toBe(201)
    expect((await peer.request(200, 'fstatvfs@openssh.com', handle)).type).toBe(201)
    expect(await peer.status(4, handle)).toBe(0)
    expect((await get(peer, '/f')).toString()).toBe('mine')
  })

  it('does not let an upload replace what took its name by posix-rename meanwhile', async () => {
    await using peer = await greeted()
    await put(peer, '/other', 'other')
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'mine')).toBe(0)
    expect(await peer.status(200, 'posix-rename@openssh.com', '/other', '/f')).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect((await get(peer, '/f')).toString()).toBe('other')
    expect(await place.realNames()).toEqual(['f'])
  })

  it('takes an upload along when another session renames its directory', async () => {
    const active = createActiveUploads('test')
    await using peer = await SftpPeer.greeted(place.files({ active }))
    await using other = await SftpPeer.greeted(place.files({ active }))
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    const handle = await peer.open('/d/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'content')).toBe(0)
    expect(await other.status(18, '/d', '/e')).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect((await get(other, '/e/f')).toString()).toBe('content')
    expect(await place.realNames('/e')).toEqual(['f'])
  })

  it('removes a directory that holds nothing but parts that nobody knows any more', async () => {
    await using peer = await greeted()
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    const intent = { read: false, write: true, append: false, create: true, truncate: true, exclusive: false }
    const left = await place.backend().open(virtualPath('/d/.sftpgo-upload.1.f'), { ...intent, mode: 0o600 })
    await left.close()
    const living = await peer.open('/d/f', fresh)
    expect(await peer.status(15, '/d')).toBe(4)
    expect(await peer.status(4, living)).toBe(0)
    expect(await peer.status(13, '/d/f')).toBe(0)
    expect(await peer.status(15, '/d')).toBe(0)
  })

  it('writes in place with upload_mode 0', async () => {
    await using peer = await SftpPeer.greeted(place.files({ policy: { uploadMode: 0 } }))
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'half')).toBe(0)
    expect(await place.realNames()).toEqual(['f'])
    await peer[Symbol.asyncDispose]()
    await using other = await greeted()
    expect((await get(other, '/f')).toString()).toBe('half')
  })

  it('keeps what was cut off with upload_mode 2, but never in the place of an old file', async () => {
    const peer = await SftpPeer.greeted(place.files({ policy: { uploadMode: 2 } }))
    await put(peer, '/old', 'old version')
    const replacing = await peer.open('/old', fresh)
    expect(await peer.status(6, replacing, u64(0), 'new')).toBe(0)
    const making = await peer.open('/new', fresh)
    expect(await peer.status(6, making, u64(0), 'half of it')).toBe(0)
    await peer[Symbol.asyncDispose]()
    await using other = await greeted()
    expect((await get(other, '/old')).toString()).toBe('old version')
    expect((await get(other, '/new')).toString()).toBe('half of it')
    expect(await place.realNames()).toEqual(['new', 'old'])
  })

  it('gives up an upload with a failed WRITE at CLOSE, and keeps the old file', async () => {
    await using peer = await SftpPeer.greeted(
      place.files({ user: { filters: { max_upload_file_size: 100 } } }),
    )
    await put(peer, '/f', 'old version')
    const handle = await peer.open('/f', fresh)
    expect(await peer.status(6, handle, u64(0), 'x'.repeat(100))).toBe(0)
    expect(await peer.status(6, handle, u64(100), 'x')).toBe(4)
    expect(await peer.status(4, handle)).toBe(4)
    expect((await get(peer, '/f')).toString()).toBe('old version')
    expect(await place.realNames()).toEqual(['f'])
  })
})

it('C-42 answers FAILURE when the disk is full, and keeps the old file', async () => {
  const { createMemoryBackend } = await import('../../src/storage/memory.ts')
  const backend = createMemoryBackend({ mostBytes: 50_000 })
  await using peer = await SftpPeer.greeted(filesOn(backend))
  await put(peer, '/f', Buffer.alloc(20_000, 1))
  const handle = await peer.open('/f', fresh)
  const statuses: number[] = []
  for (let at = 0; at < 60_000; at += 10_000) {
    statuses.push(await peer.status(6, handle, u64(at), Buffer.alloc(10_000, 2)))
  }
  expect(statuses).toContain(4)
  expect(await peer.status(4, handle)).toBe(4)
  expect((await get(peer, '/f')).equals(Buffer.alloc(20_000, 1))).toBe(true)
})

it('sweeps what an earlier life left behind when somebody comes home', async () => {
  using directory = temporaryDirectory()
  using state = temporaryDirectory()
  const root = directory.path
  const backend = openLocalBackend({ root })
  const journal = openPartJournal(state.file('uploads'))
  const peer = await SftpPeer.greeted(
    filesOn(backend, { home: homeOn(backend, { realRoot: root }), journal }),
  )
  await put(peer, '/done', 'done')
  const handle = await peer.open('/cut', fresh)
  expect(await peer.status(6, handle, u64(0), 'half')).toBe(0)
  expect(readdirSync(root)).toHaveLength(2)
  // The process dies here: nothing of it runs on. The next one reads the same journal.
  const next = openPartJournal(state.file('uploads'))
  expect(next.left(root)).toMatchObject([{ final: '/cut' }])
  writeFileSync(directory.file('.sftpgo-upload.not-ours'), 'somebody else')
  const files = filesOn(backend, { home: homeOn(backend, { realRoot: root }), journal: next })
  await files.close()
  expect(readdirSync(root).sort()).toEqual(['.sftpgo-upload.not-ours', 'done'])
  expect(openPartJournal(state.file('uploads')).left()).toEqual([])
})

it('gives a part of an earlier life its name with upload_mode 2 where nothing is lost', async () => {
  using directory = temporaryDirectory()
  using state = temporaryDirectory()
  const root = directory.path
  const backend = openLocalBackend({ root })
  for (const name of ['.sftpgo-upload.1.new', '.sftpgo-upload.2.old'])
    writeFileSync(directory.file(name), 'half')
  writeFileSync(directory.file('old'), 'old version')
  const before = openPartJournal(state.file('uploads'))
  before.begun({ root, part: virtualPath('/.sftpgo-upload.1.new'), final: virtualPath('/new') })
  before.begun({ root, part: virtualPath('/.sftpgo-upload.2.old'), final: virtualPath('/old') })
  before.close()
  writeFileSync(state.file('uploads'), `${readFileSync(state.file('uploads'), 'utf8')}["+","cut sho`)
  const journal = openPartJournal(state.file('uploads'))
  expect(await sweepParts(backend, root, journal, { keep: true, log: silentLogger })).toBe(2)
  expect(readFileSync(directory.file('new'), 'utf8')).toBe('half')
  expect(readFileSync(directory.file('old'), 'utf8')).toBe('old version')
  expect(existsSync(directory.file('.sftpgo-upload.2.old'))).toBe(false)
})
