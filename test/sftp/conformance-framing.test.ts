import { describe, expect, it } from 'vitest'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { eachPlace } from '../helpers/places.ts'
import {
  attributesOf,
  dataOf,
  get,
  init,
  listAll,
  messageOf,
  packet,
  put,
  raw,
  SftpPeer,
  statusOf,
  stringsOf,
  u32,
  u64,
} from '../helpers/sftp-peer.ts'
import { filesOn } from '../helpers/user-files.ts'

eachPlace('session and framing', (place) => {
  it('C-1 answers INIT with version 3 and the extension list, whatever version is offered', async () => {
    for (const version of [0, 1, 2, 3, 4, 6]) {
      await using peer = new SftpPeer(place.files())
      peer.send(init(version))
      await peer.until(() => peer.replies.length === 1)
      const [reply] = peer.replies
      expect(reply).toMatchObject({ type: 2, id: 3 })
      const names = stringsOf(reply?.body ?? Buffer.alloc(0)).filter((_, index) => index % 2 === 0)
      expect(names.map(String)).toContain('posix-rename@openssh.com')
      expect(names.map(String)).toContain('limits@openssh.com')
      expect(names.map(String)).toContain('vendor-id')
    }
  })

  it('C-2 accepts extension pairs in INIT and ignores unknown ones', async () => {
    await using peer = new SftpPeer(place.files())
    peer.send(init(3, 'foo@example.org', '1', 'newline', '\n'))
    await peer.until(() => peer.replies.length === 1)
    expect(peer.replies[0]?.type).toBe(2)
    expect(await peer.status(4, 'nothing')).toBe(2)
  })

  it('C-3 ends the session at a request before INIT, without a reply or an effect', async () => {
    await using peer = new SftpPeer(place.files())
    peer.send(packet(14, u32(1), '/made', u32(0)))
    await peer.until(() => peer.exitStatus !== undefined)
    expect(peer.exitStatus).not.toBe(0)
    expect(peer.replies).toEqual([])
    await using other = await SftpPeer.greeted(place.files())
    expect(await other.status(17, '/made')).toBe(2)
  })

  it('C-4 answers a second INIT again', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    peer.send(init())
    await peer.until(() => peer.replies.length === 2)
    expect(peer.replies.map(({ type }) => type)).toEqual([2, 2])
  })

  it('C-5 S-28 ends the session at an absurd length without taking memory for it', async () => {
    for (const length of [0, 1, 2, 3, 4, 262_145, 0x7fffffff, 0x80000000, 0xffffffff]) {
      await using peer = await SftpPeer.greeted(place.files())
      const before = process.memoryUsage().arrayBuffers
      peer.send(Buffer.concat([u32(length).raw, Buffer.alloc(16)]))
      await peer.until(() => peer.exitStatus !== undefined)
      expect(peer.exitStatus).not.toBe(0)
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 1024 * 1024)
    }
  })

  it('C-6 understands a conversation cut at every byte boundary', async () => {
    const conversation = Buffer.concat([
      init(),
      packet(3, u32(1), '/cut', u32(2 | 8 | 16), u32(0)),
      packet(17, u32(2), '/missing'),
      packet(16, u32(3), '.'),
    ])
    for (let cut = 1; cut < conversation.length; cut += 1) {
      await using peer = new SftpPeer(place.files())
      peer.send(conversation.subarray(0, cut))
      peer.send(conversation.subarray(cut))
      await peer.until(() => peer.replies.length === 4)
      expect(peer.replies.map(({ type }) => type).sort((a, b) => a - b)).toEqual([2, 101, 102, 104])
    }
  })

  it('C-6 writes the same bytes however a WRITE is cut', async () => {
    const content = Buffer.from(Array.from({ length: 5000 }, (_, index) => index & 0xff))
    for (const size of [1, 7, 64, 1000, 4096]) {
      await using peer = await SftpPeer.greeted(place.files())
      const handle = await peer.open('/f', 2 | 8 | 16)
      const whole = packet(6, u32(9), handle, u64(0), content)
      for (let at = 0; at < whole.length; at += size) peer.send(whole.subarray(at, at + size))
      expect(statusOf(await peer.reply(9))).toBe(0)
      expect(await peer.status(4, handle)).toBe(0)
      expect((await get(peer, '/f')).equals(content)).toBe(true)
    }
  })

  it('C-7 answers 200 packets that come in one chunk', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    const ids = Array.from({ length: 200 }, (_, index) => 1000 + index)
    peer.send(Buffer.concat(ids.map((id) => packet(17, u32(id), '/'))))
    for (const id of ids) expect((await peer.reply(id)).type).toBe(105)
  })

  it('C-8 answers an unknown request with "unsupported" and lives', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    for (const type of [2, 21, 50, 101, 105, 199, 201, 255]) expect(await peer.status(type)).toBe(8)
    expect((await peer.request(17, '/')).type).toBe(105)
  })

  it('C-9 answers an unknown extension with "unsupported"', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    expect(await peer.status(200, 'no-such@example.org', 'x')).toBe(8)
    expect(await peer.status(200, '')).toBe(8)
  })

  it('C-10 ignores bytes after a valid request', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    expect((await peer.request(17, '/', raw(Buffer.from('trailing')))).type).toBe(105)
    const handle = await peer.open('/t', 2 | 8 | 16)
    expect(await peer.status(6, handle, u64(0), 'abc', raw(Buffer.from('zzz')))).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect((await get(peer, '/t')).toString()).toBe('abc')
  })

  it('C-11 gives every request exactly one reply with its id, repeated ids too', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    for (const id of [0, 0xffffffff, 7, 7, 7]) peer.send(packet(17, u32(id), '/'))
    await peer.until(() => peer.replies.length === 6)
    expect(
      peer.replies
        .slice(1)
        .map(({ id }) => id)
        .sort((a, b) => a - b),
    ).toEqual([0, 0xffffffff, 7, 7, 7].sort((a, b) => a - b))
  })

  it('C-12 gives 1,000 interleaved READs on 10 handles the right data, in order for each handle', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    const handles: Buffer[] = []
    for (let file = 0; file < 10; file += 1) {
      await put(peer, `/f${file}`, Buffer.alloc(6400, file))
      handles.push(await peer.open(`/f${file}`, 1))
    }
    const requests: Buffer[] = []
    for (let index = 0; index < 1000; index += 1) {
      const handle = handles[index % 10] ?? Buffer.alloc(0)
      requests.push(packet(5, u32(10_000 + index), handle, u64(64 * Math.floor(index / 10)), u32(64)))
    }
    peer.replies.length = 0
    peer.send(Buffer.concat(requests))
    await peer.until(() => peer.replies.length === 1000)
    for (const reply of peer.replies) {
      expect(dataOf(reply)).toEqual(Buffer.alloc(64, reply.id % 10))
    }
    for (let file = 0; file < 10; file += 1) {
      const ids = peer.replies.map(({ id }) => id).filter((id) => id % 10 === file)
      expect(ids).toEqual([...ids].sort((a, b) => a - b))
    }
  })

  it('C-13 S-42 keeps odd names whole and refuses a NUL', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    for (const name of ['new\nline', 'tab\t', '-dash', ' lead', 'trail ', 'dot.']) {
      await put(peer, `/${name}`, name)
      expect((await get(peer, `/${name}`)).toString()).toBe(name)
    }
    const bytes = Buffer.from([0x2f, 0x61, 0xff, 0xfe, 0x62])
    const handle = await peer.handle(3, bytes, u32(2 | 8), u32(0))
    expect(await peer.status(4, handle)).toBe(0)
    expect((await listAll(peer, '/')).some((entry) => entry.bytes.equals(bytes.subarray(1)))).toBe(true)
    expect(await peer.status(3, 'a\0b', u32(2 | 8), u32(0))).toBe(5)
    expect(await peer.status(17, '/a\0')).toBe(5)
  })

  it('C-14 carries a message and a language tag in every STATUS', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    const reply = await peer.request(17, '/missing')
    expect(statusOf(reply)).toBe(2)
    expect(messageOf(reply)).toBe('No such file')
    expect(stringsOf(reply.body.subarray(4))).toHaveLength(2)
  })

  it('C-15 answers what was asked before the end of input, then ends with status 0', async () => {
    await using peer = await SftpPeer.greeted(place.files())
    const handle = await peer.open('/late', 2 | 8 | 16)
    peer.replies.length = 0
    for (let index = 0; index < 50; index += 1) {
      peer.send(packet(6, u32(index), handle, u64(index * 10), '0123456789'))
    }
    peer.send(packet(4, u32(99), handle))
    peer.endInput()
    await peer.until(() => peer.exitStatus !== undefined)
    expect(peer.exitStatus).toBe(0)
    expect(peer.replies).toHaveLength(51)
    expect(peer.replies.every((reply) => statusOf(reply) === 0)).toBe(true)
    await using other = await SftpPeer.greeted(place.files())
    expect((await get(other, '/late')).length).toBe(500)
  })

  it('C-16 closes everything within a second when the client vanishes', async () => {
    const files = place.files()
    const peer = await SftpPeer.greeted(files)
    const handle = await peer.open('/gone', 2 | 8 | 16)
    expect(await peer.status(6, handle, u64(0), 'half')).toBe(0)
    const start = Date.now()
    peer.vanish()
    await peer.session.ended
    expect(Date.now() - start).toBeLessThan(1000)
    await using other = await SftpPeer.greeted(place.files())
    // Upload mode 1: what was cut off leaves no trace.
    expect(await other.status(17, '/gone')).toBe(2)
    expect(await place.realNames('/')).toEqual([])
  })

  it('C-17 keeps two conversations apart', async () => {
    await using one = await SftpPeer.greeted(place.files())
    await using two = await SftpPeer.greeted(place.files())
    const handle = await one.open('/mine', 2 | 8 | 16)
    const other = await two.open('/other', 2 | 8 | 16)
    expect(await two.status(6, handle, u64(0), 'x')).toBe(4)
    expect(await two.status(4, handle)).toBe(2)
    expect(await one.status(6, handle, u64(0), 'x')).toBe(0)
    expect(await two.status(6, other, u64(0), 'y')).toBe(0)
  })
})

describe('bounds', () => {
  it('C-88 fails a short request and nothing else', async () => {
    await using peer = await SftpPeer.greeted(filesOn(createMemoryBackend()))
    for (const type of [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 200]) {
      expect(await peer.status(type)).toBe(5)
      expect(await peer.status(type, u32(0xffffffff))).toBe(5)
    }
    for (const name of [
      'posix-rename@openssh.com',
      'statvfs@openssh.com',
      'copy-data',
      'expand-path@openssh.com',
    ]) {
      expect(await peer.status(200, name, u32(1000))).toBe(5)
    }
    expect(attributesOf(await peer.request(17, '/')).mode & 0o170000).toBe(0o040000)
  })
})
