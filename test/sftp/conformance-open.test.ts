import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { openLocalBackend } from '../../src/storage/local.ts'
import { eachPlace } from '../helpers/places.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { filesOn } from '../helpers/user-files.ts'
import { attributesOf, attrs, dataOf, get, put, SftpPeer, statusOf, u32, u64 } from '../helpers/sftp-peer.ts'

const [READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE] = [1, 2, 4, 8, 16, 32]

eachPlace('OPEN', (place) => {
  const greeted = (): Promise<SftpPeer> => SftpPeer.greeted(place.files())
  const openStatus = async (peer: SftpPeer, path: string, flags: number): Promise<number> => {
    const reply = await peer.request(3, path, u32(flags), u32(0))
    return reply.type === 102 ? 0 : statusOf(reply)
  }

  it('C-18 refuses to read a missing file: no such file', async () => {
    await using peer = await greeted()
    expect(await openStatus(peer, '/missing', READ)).toBe(2)
  })

  it('C-19 refuses to write a missing file without CREAT: no such file', async () => {
    await using peer = await greeted()
    for (const flags of [WRITE, WRITE | TRUNCATE, READ | WRITE, WRITE | APPEND]) {
      expect(await openStatus(peer, '/missing', flags)).toBe(2)
    }
    expect(await place.realNames()).toEqual([])
  })

  it('C-20 opens an existing file with CREAT as it is, its mode unchanged', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'content')
    expect(await peer.status(9, '/f', attrs({ mode: 0o640 }))).toBe(0)
    const handle = await peer.open('/f', READ | WRITE | CREATE, attrs({ mode: 0o777 }))
    expect(dataOf(await peer.request(5, handle, u64(0), u32(100))).toString()).toBe('content')
    expect(await peer.status(4, handle)).toBe(0)
    expect(attributesOf(await peer.request(17, '/f')).mode & 0o7777).toBe(0o640)
  })

  it('C-21 truncates an existing file with TRUNC, with and without CREAT', async () => {
    for (const flags of [WRITE | CREATE | TRUNCATE, WRITE | TRUNCATE]) {
      await using peer = await greeted()
      await put(peer, '/f', 'long content')
      const handle = await peer.open('/f', flags)
      expect(await peer.status(6, handle, u64(0), 'new')).toBe(0)
      expect(await peer.status(4, handle)).toBe(0)
      expect((await get(peer, '/f')).toString()).toBe('new')
    }
  })

  it('C-22 refuses CREAT|EXCL on an existing name and on a link that leads nowhere', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await peer.status(20, '/nowhere', '/link')).toBe(0)
    expect(await openStatus(peer, '/f', WRITE | CREATE | EXCLUSIVE)).toBe(4)
    expect(await openStatus(peer, '/link', WRITE | CREATE | EXCLUSIVE)).toBe(4)
    expect(await peer.status(17, '/nowhere')).toBe(2)
  })

  it('C-22 lets only one of two have a new name', async () => {
    await using peer = await greeted()
    const first = await peer.open('/lock', WRITE | CREATE | EXCLUSIVE)
    expect(await openStatus(peer, '/lock', WRITE | CREATE | EXCLUSIVE)).toBe(4)
    expect(await peer.status(4, first)).toBe(0)
    expect((await get(peer, '/lock')).length).toBe(0)
  })

  it('C-23 takes EXCL without CREAT as the system does: no error', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await openStatus(peer, '/f', READ | EXCLUSIVE)).toBe(0)
  })

  it('C-24 reads with no flag at all', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    const handle = await peer.open('/f', 0)
    expect(dataOf(await peer.request(5, handle, u64(0), u32(10))).toString()).toBe('x')
    expect(await peer.status(6, handle, u64(0), 'y')).toBe(4)
  })

  it('C-25 reads and writes on one handle, and refuses what a handle is not for', async () => {
    await using peer = await greeted()
    const both = await peer.open('/f', READ | WRITE | CREATE)
    expect(await peer.status(6, both, u64(0), 'abcdef')).toBe(0)
    expect(dataOf(await peer.request(5, both, u64(2), u32(2))).toString()).toBe('cd')
    expect(await peer.status(4, both)).toBe(0)
    const writeOnly = await peer.open('/f', WRITE)
    expect(await peer.status(5, writeOnly, u64(0), u32(10))).toBe(4)
    const readOnly = await peer.open('/f', READ)
    expect(await peer.status(6, readOnly, u64(0), 'zzz')).toBe(4)
    expect(await peer.status(4, writeOnly)).toBe(0)
    expect(await peer.status(4, readOnly)).toBe(0)
    expect((await get(peer, '/f')).toString()).toBe('abcdef')
  })

  it('C-26 writes at the end with APPEND, whatever the position; two appenders interleave whole writes', async () => {
    await using peer = await greeted()
    await put(peer, '/log', 'start\n')
    const one = await peer.open('/log', WRITE | APPEND)
    const two = await peer.open('/log', WRITE | APPEND | CREATE)
    expect(await peer.status(6, one, u64(0), 'one\n')).toBe(0)
    expect(await peer.status(6, two, u64(0), 'two\n')).toBe(0)
    expect(await peer.status(6, one, u64(3), 'three\n')).toBe(0)
    for (const position of [2n ** 53n - 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(await peer.status(6, two, u64(position), 'far\n')).toBe(0)
    }
    expect(await peer.status(4, one)).toBe(0)
    expect(await peer.status(4, two)).toBe(0)
    expect((await get(peer, '/log')).toString()).toBe('start\none\ntwo\nthree\nfar\nfar\nfar\n')
  })

  it('C-27 honours the mode at creation under the umask', async () => {
    const peer = await SftpPeer.greeted(place.files({ policy: { umask: 0o027 } }))
    for (const [name, mode, expected] of [
      ['asked', attrs({ mode: 0o666 }), 0o640],
      ['executable', attrs({ mode: 0o777 }), 0o750],
      ['default', u32(0), 0o640],
    ] as const) {
      const handle = await peer.open(`/${name}`, WRITE | CREATE | TRUNCATE, mode)
      expect(await peer.status(4, handle)).toBe(0)
      const found = attributesOf(await peer.request(17, `/${name}`)).mode & 0o7777
      expect(found & ~process.umask()).toBe(expected & ~process.umask())
    }
    await peer[Symbol.asyncDispose]()
  })

  it('C-28 refuses to write a directory; one opened for reading can be looked at and never read', async () => {
    await using peer = await greeted()
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    for (const flags of [WRITE, WRITE | CREATE | TRUNCATE, READ | WRITE, READ | CREATE]) {
      expect(await openStatus(peer, '/d', flags)).toBe(4)
    }
    const handle = await peer.open('/d', READ)
    expect(await peer.status(5, handle, u64(0), u32(100))).toBe(4)
    expect(await peer.status(12, handle)).toBe(4)
    expect(attributesOf(await peer.request(8, handle)).mode & 0o170000).toBe(0o040000)
    expect(await peer.status(10, handle, attrs({ mode: 0o700 }))).toBe(0)
    expect(attributesOf(await peer.request(17, '/d')).mode & 0o7777).toBe(0o700)
    expect(await peer.status(6, handle, u64(0), 'x')).toBe(4)
    expect(await peer.status(4, handle)).toBe(0)
    expect(await peer.status(4, handle)).toBe(2)
  })

  it('C-29 ignores size and times in OPEN', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', WRITE | CREATE | TRUNCATE, attrs({ size: 99, times: [1, 2] }))
    expect(await peer.status(4, handle)).toBe(0)
    expect(attributesOf(await peer.request(17, '/f')).size).toBe(0n)
  })

  it('C-30 finds no such file at an empty path; "." and "/" are directories', async () => {
    await using peer = await greeted()
    expect(await openStatus(peer, '', READ)).toBe(2)
    expect(await peer.status(17, '')).toBe(2)
    expect(await peer.status(11, '')).toBe(2)
    for (const path of ['.', '/']) {
      expect(attributesOf(await peer.request(17, path)).mode & 0o170000).toBe(0o040000)
    }
  })
})

it('S-44 refuses pipes and devices at once, 200 of them beside a working session', async () => {
  using directory = temporaryDirectory()
  expect(spawnSync('mkfifo', [directory.file('pipe')]).status).toBe(0)
  const backend = openLocalBackend({ root: directory.path })
  await using peer = await SftpPeer.greeted(filesOn(backend))
  await using other = await SftpPeer.greeted(filesOn(backend))
  const start = performance.now()
  for (let index = 0; index < 200; index += 1) {
    const flags = index % 2 === 0 ? READ : WRITE
    expect(await peer.status(3, '/pipe', u32(flags), u32(0))).toBe(4)
  }
  expect((await other.request(17, '/')).type).toBe(105)
  expect(performance.now() - start).toBeLessThan(2000)
  await backend.close()
})

eachPlace('READ and WRITE', (place) => {
  const greeted = (): Promise<SftpPeer> => SftpPeer.greeted(place.files())

  it('C-31 answers EOF past the end and what is there before it', async () => {
    await using peer = await greeted()
    await put(peer, '/f', '0123456789')
    const handle = await peer.open('/f', READ)
    expect(dataOf(await peer.request(5, handle, u64(8), u32(100))).toString()).toBe('89')
    expect(await peer.status(5, handle, u64(10), u32(1))).toBe(1)
    expect(await peer.status(5, handle, u64(1000), u32(1))).toBe(1)
  })

  it('C-32 answers a READ of length 0 with empty DATA', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    const handle = await peer.open('/f', READ)
    expect(dataOf(await peer.request(5, handle, u64(0), u32(0))).length).toBe(0)
  })

  it('C-33 C-34 S-26 shortens a READ beyond the limit, its memory flat', async () => {
    await using peer = await greeted()
    await put(peer, '/f', Buffer.alloc(600_000, 7))
    const handle = await peer.open('/f', READ)
    const before = process.memoryUsage().arrayBuffers
    for (const length of [261_121, 300_000, 0x7fffffff, 0xffffffff]) {
      const data = dataOf(await peer.request(5, handle, u64(0), u32(length)))
      expect(data.length).toBe(261_120)
      expect(data.every((byte) => byte === 7)).toBe(true)
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024)
  })

  it('C-35 S-27 never rounds a position: EOF or an error', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    const handle = await peer.open('/f', READ | WRITE)
    for (const position of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect([1, 4, 5]).toContain(await peer.status(5, handle, u64(position), u32(10)))
      expect([4, 5]).toContain(await peer.status(6, handle, u64(position), 'y'))
    }
    expect(attributesOf(await peer.request(8, handle)).size).toBe(1n)
  })

  it('C-36 takes an empty WRITE and changes nothing', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'abc')
    const handle = await peer.open('/f', WRITE)
    expect(await peer.status(6, handle, u64(100), '')).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(attributesOf(await peer.request(17, '/f')).size).toBe(3n)
  })

  it('C-37 makes a hole of zeros for a WRITE past the end', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', WRITE | CREATE | TRUNCATE)
    expect(await peer.status(6, handle, u64(10), 'end')).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(await get(peer, '/f')).toEqual(Buffer.concat([Buffer.alloc(10), Buffer.from('end')]))
  })

  it('C-38 ends with the right content after WRITEs out of order and over each other', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', WRITE | CREATE | TRUNCATE)
    const writes = [
      [6, 'ghi'],
      [0, 'abc'],
      [3, 'def'],
      [2, 'CD'],
      [8, 'I'],
    ] as const
    for (const [position, text] of writes) expect(await peer.status(6, handle, u64(position), text)).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect((await get(peer, '/f')).toString()).toBe('abCDefghI')
  })

  it('C-39 takes a WRITE of the announced size and refuses one byte more', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', WRITE | CREATE | TRUNCATE)
    expect(await peer.status(6, handle, u64(0), Buffer.alloc(261_120, 1))).toBe(0)
    expect(await peer.status(6, handle, u64(261_120), Buffer.alloc(261_121, 2))).toBe(5)
    expect(attributesOf(await peer.request(8, handle)).size).toBe(261_120n)
  })

  it('C-40 reads and writes past 4 GiB', async () => {
    if (place.name.startsWith('memory')) return
    await using peer = await greeted()
    const far = 2 ** 32 + 12_345
    const handle = await peer.open('/sparse', READ | WRITE | CREATE | TRUNCATE)
    expect(await peer.status(6, handle, u64(far), 'far')).toBe(0)
    expect(dataOf(await peer.request(5, handle, u64(far), u32(10))).toString()).toBe('far')
    expect(await peer.status(4, handle)).toBe(0)
    expect(attributesOf(await peer.request(17, '/sparse')).size).toBe(BigInt(far) + 3n)
  })

  it('C-41 reads on when another session shortens or removes the file', async () => {
    await using peer = await greeted()
    await using other = await greeted()
    await put(peer, '/f', Buffer.alloc(1000, 1))
    const handle = await peer.open('/f', READ)
    expect(await other.status(9, '/f', attrs({ size: 10 }))).toBe(0)
    expect(dataOf(await peer.request(5, handle, u64(0), u32(1000))).length).toBe(10)
    expect(await other.status(13, '/f')).toBe(0)
    const reply = await peer.request(5, handle, u64(0), u32(1000))
    expect(reply.type === 103 ? 1 : statusOf(reply)).toBe(1)
    expect(await peer.status(4, handle)).toBe(0)
  })
})

eachPlace('handles', (place) => {
  const greeted = (): Promise<SftpPeer> => SftpPeer.greeted(place.files())

  it('C-43 refuses CLOSE twice, and of rubbish of any length', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', WRITE | CREATE)
    expect(await peer.status(4, handle)).toBe(0)
    expect(await peer.status(4, handle)).toBe(2)
    for (const length of [0, 1, 4, 8, 255, 256, 257, 1000]) {
      expect(await peer.status(4, Buffer.alloc(length, 0xff))).toBe(2)
    }
    expect((await peer.request(17, '/')).type).toBe(105)
  })

  it('C-44 never lets a stale handle reach a newer file', async () => {
    await using peer = await greeted()
    const stale: Buffer[] = []
    for (let round = 0; round < 20; round += 1) {
      const handle = await peer.open(`/f${round}`, WRITE | CREATE)
      expect(stale.some((old) => old.equals(handle))).toBe(false)
      for (const old of stale) expect(await peer.status(6, old, u64(0), 'bad')).toBe(4)
      expect(await peer.status(4, handle)).toBe(0)
      stale.push(Buffer.from(handle))
    }
  })

  it('C-45 refuses READ on a directory and READDIR on a file', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    const file = await peer.open('/f', READ)
    const directory = await peer.handle(11, '/')
    expect(await peer.status(5, directory, u64(0), u32(10))).toBe(4)
    expect(await peer.status(6, directory, u64(0), 'x')).toBe(4)
    expect(await peer.status(12, file)).toBe(4)
  })

  it('C-46 completes earlier requests before a CLOSE', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', READ | WRITE | CREATE)
    const { packet } = await import('../helpers/sftp-peer.ts')
    const requests = [packet(6, u32(100), handle, u64(0), Buffer.alloc(100_000, 5))]
    for (let index = 0; index < 20; index += 1) {
      requests.push(packet(5, u32(200 + index), handle, u64(index * 5000), u32(5000)))
    }
    requests.push(packet(4, u32(300), handle), packet(5, u32(301), handle, u64(0), u32(1)))
    peer.send(Buffer.concat(requests))
    expect(statusOf(await peer.reply(100))).toBe(0)
    for (let index = 0; index < 20; index += 1) {
      expect(dataOf(await peer.reply(200 + index))).toEqual(Buffer.alloc(5000, 5))
    }
    expect(statusOf(await peer.reply(300))).toBe(0)
    expect(statusOf(await peer.reply(301))).toBe(4)
  })

  it('C-47 knows nothing of the handles of another session', async () => {
    await using one = await greeted()
    await using two = await greeted()
    const handle = await one.open('/f', WRITE | CREATE)
    await two.open('/g', WRITE | CREATE)
    expect(await two.status(8, handle)).toBe(4)
    expect(await two.status(4, handle)).toBe(2)
  })

  it('C-48 S-25 refuses one handle more than the limit, and works again after a CLOSE', async () => {
    await using peer = await SftpPeer.greeted(place.files(), { bounds: { handles: 10 } })
    await put(peer, '/f', 'x')
    const handles: Buffer[] = []
    for (let index = 0; index < 10; index += 1) handles.push(await peer.open('/f', READ))
    expect(await peer.status(3, '/f', u32(READ), u32(0))).toBe(4)
    expect(await peer.status(11, '/')).toBe(4)
    expect(await peer.status(4, handles[0] ?? Buffer.alloc(0))).toBe(0)
    await peer.open('/f', READ)
    expect(await peer.status(3, '/f', u32(READ), u32(0))).toBe(4)
  })
})
