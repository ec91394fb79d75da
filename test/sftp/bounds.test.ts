import { describe, expect, it } from 'vitest'
import type { UserFiles } from '../../src/files/user-files.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { filesOn } from '../helpers/user-files.ts'
import { dataOf, packet, put, SftpPeer, statusOf, u32, u64 } from '../helpers/sftp-peer.ts'

const mebibyte = 1024 * 1024

describe('what one session may hold', () => {
  for (const later of [false, true]) {
    const title = later ? 'from a slow disk' : 'from a fast disk'
    it(`S-21 holds at most 8 MiB for a client that asks for 1 GiB ${title} and reads nothing`, async () => {
      const backend = createMemoryBackend({ later })
      await using peer = await SftpPeer.greeted(filesOn(backend), { windowBytes: 2 * mebibyte })
      await put(peer, '/big', Buffer.alloc(261_120, 9))
      const handle = await peer.open('/big', 1)
      peer.stopReading()
      globalThis.gc?.()
      const before = process.memoryUsage().arrayBuffers
      const asked = 4200
      for (let index = 0; index < asked; index += 1) {
        peer.send(packet(5, u32(10_000 + index), handle, u64(0), u32(261_120)))
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
      // What our double of the network holds counts as the session's: it would lie in the socket or the window.
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * mebibyte)
      expect(peer.heldBytes).toBeLessThan(4 * mebibyte)
      let next = 10_000
      while (next < 10_000 + asked) {
        peer.replies.length = 0
        peer.resumeReading()
        await peer.until(() => peer.replies.length > 0)
        for (const reply of peer.replies.splice(0)) {
          expect(reply.id).toBe(next)
          expect(dataOf(reply).length).toBe(261_120)
          next += 1
        }
      }
    })
  }

  it('S-22 takes no more WRITEs than the bound while the disk stalls, and goes on when it is back', async () => {
    const backend = createMemoryBackend()
    const files = filesOn(backend, { policy: { uploadMode: 0 } })
    let release: () => void = () => {}
    const stalled = new Promise<void>((resolve) => {
      release = resolve
    })
    await using peer = await SftpPeer.greeted(withWrites(files, () => stalled))
    const handle = await peer.open('/f', 2 | 8 | 16)
    peer.consumedBytes = 0
    const chunk = Buffer.alloc(32_768, 1)
    const sent = 1000
    for (let index = 0; index < sent; index += 1) {
      peer.send(packet(6, u32(20_000 + index), handle, u64(index * chunk.length), chunk))
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
    // Nothing is said to be done with: the stream's window closes and the client has to wait.
    expect(peer.consumedBytes).toBe(0)
    expect(peer.session.outstanding).toBeLessThan(130)
    release()
    await peer.until(() => peer.session.outstanding === 0 && peer.replies.length >= sent)
    expect(peer.session.requests).toBe(1 + sent)
  })

  it('joins WRITEs that wait and touch each other into one call', async () => {
    const backend = createMemoryBackend()
    const calls: number[] = []
    let first: () => void = () => {}
    const gate = new Promise<void>((resolve) => {
      first = resolve
    })
    await using peer = await SftpPeer.greeted(
      withWrites(filesOn(backend), (chunks) => {
        calls.push(chunks.length)
        return calls.length === 1 ? gate : Promise.resolve()
      }),
    )
    const handle = await peer.open('/f', 2 | 8 | 16)
    for (let index = 0; index < 20; index += 1) {
      peer.send(packet(6, u32(100 + index), handle, u64(index * 10), '0123456789'))
    }
    first()
    for (let index = 0; index < 20; index += 1) await peer.reply(100 + index)
    expect(calls).toEqual([1, 19])
  })

  it('lets a request for one name wait for an earlier one, and others pass', async () => {
    const finished: string[] = []
    const files = filesOn(createMemoryBackend())
    let release: () => void = () => {}
    const slow = new Promise<void>((resolve) => {
      release = resolve
    })
    const delayed: UserFiles = {
      ...files,
      makeDirectory: async (path, mode) => {
        await slow
        finished.push('mkdir')
        await files.makeDirectory(path, mode)
      },
    }
    await using peer = await SftpPeer.greeted(delayed)
    peer.send(packet(14, u32(1), '/d', u32(0)))
    peer.send(packet(14, u32(2), '/d/below', u32(0)))
    peer.send(packet(17, u32(3), '/d'))
    expect((await peer.request(17, '/elsewhere')).type).toBe(101)
    expect(finished).toEqual([])
    release()
    for (const [id, type] of [
      [1, 101],
      [2, 101],
      [3, 105],
    ] as const) {
      const reply = await peer.reply(id)
      expect(reply.type).toBe(type)
      if (type === 101) expect(reply.body.readUInt32BE(0)).toBe(0)
    }
  })

  it('keeps the order of requests for one file, whichever of its handles they are sent to', async () => {
    const backend = createMemoryBackend()
    const begun: string[] = []
    let release: () => void = () => {}
    const slow = new Promise<void>((resolve) => {
      release = resolve
    })
    const files = withWrites(filesOn(backend, { policy: { uploadMode: 0 } }), async ([first]) => {
      begun.push(String(first))
      if (begun.length === 1) await slow
    })
    await using peer = await SftpPeer.greeted(files)
    const [one, two] = [await peer.open('/f', 1 | 2 | 8), await peer.open('/f', 1 | 2)]
    const other = await peer.open('/other', 1 | 2 | 8)
    peer.send(packet(6, u32(101), one, u64(0), 'first '))
    peer.send(packet(5, u32(102), two, u64(0), u32(100)))
    peer.send(packet(6, u32(103), two, u64(6), 'second'))
    peer.send(packet(200, u32(104), 'copy-data', one, u64(0), u64(5), two, u64(20)))
    peer.send(packet(5, u32(105), one, u64(0), u32(100)))
    peer.send(packet(4, u32(106), one))
    expect(await peer.status(6, other, u64(0), 'elsewhere')).toBe(0)
    expect(begun).toEqual(['first ', 'elsewhere'])
    release()
    expect(dataOf(await peer.reply(102)).toString()).toBe('first ')
    expect(statusOf(await peer.reply(103))).toBe(0)
    expect(statusOf(await peer.reply(104))).toBe(4) // never onto itself, and nobody waits for ever
    expect(dataOf(await peer.reply(105)).toString()).toBe('first second')
    expect(statusOf(await peer.reply(106))).toBe(0)
    expect(dataOf(await peer.request(5, two, u64(0), u32(12))).toString()).toBe('first second')
  })

  it('ends tidily while requests wait on two handles of one file', async () => {
    let release: () => void = () => {}
    const slow = new Promise<void>((resolve) => {
      release = resolve
    })
    const files = filesOn(createMemoryBackend(), { policy: { uploadMode: 0 } })
    const peer = await SftpPeer.greeted(withWrites(files, () => slow))
    const [one, two] = [await peer.open('/f', 2 | 8), await peer.open('/f', 2)]
    peer.send(packet(6, u32(1), one, u64(0), 'a'))
    peer.send(packet(6, u32(2), two, u64(0), 'b'))
    peer.vanish()
    release()
    expect(await peer.session.ended).toBe('stream-closed')
  })

  it('does not let a CLOSE overtake an earlier request for the name', async () => {
    const files = filesOn(createMemoryBackend())
    let release: () => void = () => {}
    const slow = new Promise<void>((resolve) => {
      release = resolve
    })
    const delayed: UserFiles = {
      ...files,
      remove: async (path) => {
        await slow
        await files.remove(path)
      },
    }
    await using peer = await SftpPeer.greeted(delayed)
    await put(peer, '/f', 'old')
    const handle = await peer.open('/f', 2 | 8 | 16)
    peer.send(packet(13, u32(1), '/f'))
    peer.send(packet(4, u32(2), handle))
    peer.send(packet(17, u32(3), '/f'))
    release()
    expect((await peer.reply(1)).body.readUInt32BE(0)).toBe(0)
    expect((await peer.reply(2)).body.readUInt32BE(0)).toBe(0)
    expect((await peer.reply(3)).type).toBe(101)
  })

  it('ends tidily while a CLOSE waits behind another request', async () => {
    const files = filesOn(createMemoryBackend())
    let release: () => void = () => {}
    const slow = new Promise<void>((resolve) => {
      release = resolve
    })
    const peer = await SftpPeer.greeted({ ...files, remove: () => slow })
    const handle = await peer.open('/f', 2 | 8 | 16)
    peer.send(packet(13, u32(1), '/f'))
    peer.send(packet(4, u32(2), handle))
    peer.vanish()
    release()
    expect(await peer.session.ended).toBe('stream-closed')
    await using other = await SftpPeer.greeted(files)
    expect(await other.status(17, '/f')).toBe(2)
  })
})

/** Files whose writes go through `write` first. */
function withWrites(files: UserFiles, write: (chunks: readonly Buffer[]) => Promise<void>): UserFiles {
  return {
    ...files,
    open: async (path, intent) => {
      const transfer = await files.open(path, intent)
      return {
        read: (into, position) => transfer.read(into, position),
        write: async (chunks, position) => {
          await write(chunks)
          await transfer.write(chunks, position)
        },
        attributes: () => transfer.attributes(),
        change: (change) => transfer.change(change),
        sync: () => transfer.sync(),
        close: () => transfer.close(),
        interrupt: () => transfer.interrupt(),
      }
    },
  }
}
