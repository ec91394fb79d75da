import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FileError } from '../../src/base/errors.ts'
import { createFileClaims, fileClaims } from '../../src/native/file-claim.ts'
import { createLimiter } from '../../src/base/limiter.ts'
import type { Backend, OpenFile } from '../../src/storage/backend.ts'
import { backendCases } from '../../src/storage/backend-cases.ts'
import { at, intent, put, toRead } from '../../src/storage/cases/backend-case.ts'
import type { CallPace } from '../../src/storage/call-pace.ts'
import type { Disks } from '../../src/storage/disks.ts'
import { createEncryptedBackend, type EncryptionKeys } from '../../src/storage/encrypted.ts'
import { openLocalBackend } from '../../src/storage/local.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { chunkBytes, plainSizeOf, sealedSizeOf } from '../../src/storage/sealed-format.ts'
import { createSharedFiles } from '../../src/storage/shared-files.ts'
import { rewrapFile } from '../../src/storage/rewrap-file.ts'
import { userKeyOf } from '../../src/storage/user-key.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { randomFrom } from '../helpers/random-from.ts'

const userKey = randomBytes(32)
const quick = disksAt({ inline: true, took() {}, median: () => 0 })
const keys: EncryptionKeys = { userKey: () => userKey, passphrase: () => Buffer.from('open sesame') }

describe('an encrypted backend over memory', () => {
  it.each(backendCases)('$sentence', async (one) => {
    await expect(
      one.run(createEncryptedBackend({ base: createMemoryBackend(), keys })),
    ).resolves.toBeUndefined()
  })
})

describe('an encrypted backend over the disk', () => {
  it.each(backendCases)('$sentence', async (one) => {
    using folder = temporaryDirectory()
    const backend = createEncryptedBackend({ base: openLocalBackend({ root: folder.path }), keys })
    await expect(one.run(backend)).resolves.toBeUndefined()
    await backend.close()
  })
})

describe('an encrypted backend over a disk that answers later', () => {
  it.each(backendCases)('$sentence', async (one) => {
    using folder = temporaryDirectory()
    const backend = createEncryptedBackend({ base: slowDisk(folder.path), keys })
    await expect(one.run(backend)).resolves.toBeUndefined()
    await backend.close()
  })
})

describe('an encrypted file', () => {
  it.each([
    ['in memory', () => createMemoryBackend(), 30],
    ['on a disk', (root: string) => openLocalBackend({ root }), 10],
    ['on a disk that answers later', slowDisk, 10],
  ])('equals what was written, whatever is written, cut and read where: %s', async (_, place, rounds) => {
    using folder = temporaryDirectory()
    const shared = createSharedFiles()
    const backend = createEncryptedBackend({ base: place(folder.path), keys, shared })
    const random = randomFrom(4711)
    for (let round = 0; round < rounds; round += 1) {
      let model: Buffer = Buffer.alloc(0)
      let file = await backend.open(at('/f'), intent({ truncate: true }))
      for (let step = 0; step < 40; step += 1) {
        const what = random(10)
        const position = random(5 * chunkBytes)
        if (what < 5) {
          const bytes = randomBytes(random(what === 0 ? 3 * chunkBytes : 5000))
          const half = random(bytes.length + 1)
          await file.write([bytes.subarray(0, half), bytes.subarray(half)], position)
          if (bytes.length > 0) model = written(model, bytes, position)
        } else if (what === 5) {
          await file.change({ size: position })
          model = resized(model, position)
        } else if (what === 6) {
          await file.close()
          file = await backend.open(at('/f'), intent())
        } else if (what === 7) {
          await file.sync()
        } else {
          const into = Buffer.alloc(random(2 * chunkBytes))
          const length = await file.read(into, position)
          expect(into.subarray(0, length).equals(model.subarray(position, position + into.length))).toBe(true)
        }
        expect((await file.attributes()).size).toBe(model.length)
      }
      await file.close()
      expect((await whole(backend, '/f')).equals(model)).toBe(true)
      expect((await backend.attributes(at('/f'), { follow: true })).size).toBe(model.length)
      expect(shared.chunks.kept, 'buffers of files that nobody holds').toBe(0)
    }
    await backend.close()
  })

  it('answers in the same turn on a fast disk, so that the answers of a client leave together', async () => {
    using folder = temporaryDirectory()
    const backend = createEncryptedBackend({
      base: openLocalBackend({ root: folder.path, disks: quick }),
      keys,
    })
    const file = await backend.open(at('/f'), intent())
    for (let index = 0; index < 5; index += 1)
      expect(file.write([Buffer.alloc(32_768, index)], index * 32_768)).toBeUndefined()
    expect(file.read(Buffer.alloc(32_768), 0)).toBe(32_768)
    await file.close()
    const reader = await backend.open(at('/f'), toRead)
    expect(reader.read(Buffer.alloc(32_768), 100_000)).toBe(32_768)
    await reader.close()
    await backend.close()
  })

  it('is opened rightly while its writer closes it', async () => {
    using folder = temporaryDirectory()
    for (const base of [createMemoryBackend(), slowDisk(folder.path)]) {
      const backend = createEncryptedBackend({ base, keys })
      for (let round = 0; round < 20; round += 1) {
        const writer = await backend.open(at('/f'), intent({ truncate: true }))
        await writer.write([Buffer.alloc(70_000, 'x')], 0)
        const [text] = await Promise.all([whole(backend, '/f'), writer.close()])
        expect(text.length).toBe(70_000)
      }
      await backend.close()
    }
  })

  it('shows nothing of its content on the disk, and its length only plus what the format adds', async () => {
    const { backend, base } = home()
    const text = 'a very plain text '.repeat(10_000)
    await put(backend, '/f', text)
    const sealed = await whole(base, '/f')
    expect(sealed.length).toBe(sealedSizeOf(text.length))
    expect(plainSizeOf(sealed.length)).toBe(text.length)
    expect(sealed.includes('plain')).toBe(false)
    await put(backend, '/g', text)
    expect((await whole(base, '/g')).subarray(128, 400).equals(sealed.subarray(128, 400))).toBe(false)
  })

  it('shows plain sizes in listings and by name, also while it is being written', async () => {
    const { backend } = home()
    const file = await backend.open(at('/f'), intent())
    await file.write([Buffer.alloc(200_000)], 0)
    expect((await backend.attributes(at('/f'), { follow: true })).size).toBe(200_000)
    const listing = await backend.list(at('/'))
    expect((await listing.next(10)).map(({ attributes }) => attributes.size)).toEqual([200_000])
    await file.close()
    expect((await backend.attributes(at('/f'), { follow: true })).size).toBe(200_000)
  })

  it('keeps the times that were set before it is closed', async () => {
    const { backend } = home()
    const file = await backend.open(at('/f'), intent())
    await file.write([Buffer.alloc(100_000)], 0)
    await file.change({ times: { accessTime: 11, modifyTime: 12 } })
    await file.close()
    expect((await backend.attributes(at('/f'), { follow: true })).modifyTime).toBe(12)
  })

  it('keeps the times that were set by name while it is written', async () => {
    const { backend } = home()
    const file = await backend.open(at('/f'), intent())
    const times = { accessTime: 11, modifyTime: 12 }
    await file.write([Buffer.alloc(100_000)], 0)
    await backend.change(at('/f'), { times }, { follow: true })
    await file.close()
    expect((await backend.attributes(at('/f'), { follow: true })).modifyTime).toBe(12)
  })

  it('leaves everybody else their turn while a large gap is filled', async () => {
    using folder = temporaryDirectory()
    const backend = createEncryptedBackend({
      base: openLocalBackend({ root: folder.path, disks: quick }),
      keys,
    })
    const file = await backend.open(at('/f'), intent())
    let turns = 0
    const filled = new AbortController()
    const others = (async () => {
      for (; !filled.signal.aborted; turns += 1) await new Promise(setImmediate)
    })()
    await file.change({ size: 256 * 2 ** 20 })
    filled.abort()
    await others
    // 4,096 chunks, 64 in a turn at most.
    expect(turns).toBeGreaterThanOrEqual(60)
    await file.close()
    expect((await backend.attributes(at('/f'), { follow: true })).size).toBe(256 * 2 ** 20)
    await backend.close()
  })

  it('holds back little, however many are open and written and read in places', async () => {
    const shared = createSharedFiles()
    const backend = createEncryptedBackend({ base: createMemoryBackend(), keys, shared })
    const files = await Promise.all(
      Array.from({ length: 300 }, async (_, index) => backend.open(at(`/f${index}`), intent())),
    )
    let most = 0
    for (const position of [3 * chunkBytes, 5, chunkBytes + 7])
      for (const file of files) {
        await file.write([Buffer.from('text')], position)
        await file.read(Buffer.alloc(10), position)
        most = Math.max(most, shared.chunks.kept)
      }
    // 256 of 64 KiB, and what one request touches.
    expect(most).toBeLessThan(256 + 8)
    for (const file of files) await file.close()
    expect(shared.chunks.kept).toBe(0)
    const text = Buffer.alloc(3 * chunkBytes + 4)
    for (const position of [3 * chunkBytes, 5, chunkBytes + 7]) text.write('text', position)
    for (const index of [0, 150, 299]) expect((await whole(backend, `/f${index}`)).equals(text)).toBe(true)
    expect(shared.chunks.kept).toBe(0)
  })

  it('lets several read and write it at once', async () => {
    const { backend } = home()
    const [one, two] = [await backend.open(at('/f'), intent()), await backend.open(at('/f'), intent())]
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) =>
        (index % 2 === 0 ? one : two).write([Buffer.alloc(7000, 65 + (index % 26))], index * 7000),
      ),
    )
    const reader = await backend.open(at('/f'), toRead)
    const into = Buffer.alloc(350_000)
    expect(await reader.read(into, 0)).toBe(350_000)
    for (let index = 0; index < 50; index += 1) expect(into[index * 7000]).toBe(65 + (index % 26))
    await one.close()
    await reader.close()
    await two.close()
    expect((await whole(backend, '/f')).equals(into)).toBe(true)
  })

  it('reads at most two chunks for a small read in a large file', async () => {
    const { backend, base, traffic } = home()
    const file = await backend.open(at('/f'), intent())
    const block = Buffer.alloc(chunkBytes * 16)
    for (let index = 0; index < 16; index += 1) await file.write([block], index * block.length)
    await file.close()
    const reader = await backend.open(at('/f'), toRead)
    await reader.read(Buffer.alloc(1), 0)
    traffic.read = 0
    await reader.read(Buffer.alloc(4096), 7 * chunkBytes - 100)
    expect(traffic.read).toBeLessThanOrEqual(2 * (chunkBytes + 28))
    await reader.close()
    await base.close()
  })
})

describe('a small encrypted file', () => {
  const text = Buffer.from(Array.from({ length: 200 }, (_, index) => (index * index) & 0xff))

  it.each([
    ['of ours', 'ours', [] as number[]],
    // What is left of SFTPGo's format after its header is an empty file to SFTPGo too.
    ['of SFTPGo', 'dare', [33]],
  ])('does not open cut at any byte: %s', async (_, format, exceptions) => {
    const { backend, base } = home()
    const sealed = await sealedBytes(text, format)
    for (let cut = 0; cut < sealed.length; cut += 1) {
      await putBytes(base, '/f', sealed.subarray(0, cut))
      const read = await whole(backend, '/f').catch((error: unknown) => error)
      if (exceptions.includes(cut)) expect(read, `cut at ${cut}`).toEqual(Buffer.alloc(0))
      else expect(read, `cut at ${cut}`).toMatchObject({ code: expect.stringMatching(/cut-short|corrupted/) })
    }
  })

  it.each(['ours', 'dare'])('does not open extended by any number of bytes: %s', async (format) => {
    const { backend, base } = home()
    const sealed = await sealedBytes(text, format)
    for (let more = 1; more < 200; more += 1) {
      await putBytes(base, '/f', Buffer.concat([sealed, sealed.subarray(-more)]))
      await expect(whole(backend, '/f'), `${more} more`).rejects.toMatchObject({
        code: expect.stringMatching(/cut-short|corrupted|wrong-key/),
      })
    }
  })

  it.each(['ours', 'dare'])('does not open with any bit of it changed: %s', async (format) => {
    const { backend, base } = home()
    const sealed = await sealedBytes(text, format)
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await putBytes(base, '/f', changed)
      await expect(whole(backend, '/f'), `bit ${bit}`).rejects.toBeInstanceOf(FileError)
    }
  })
})

describe('an encrypted file that somebody touched', () => {
  const size = 3 * chunkBytes + 1000

  it('does not open or does not read after a cut at any byte', async () => {
    const { backend, base } = home()
    const text = randomBytes(size)
    await putBytes(backend, '/f', text)
    const sealed = await whole(base, '/f')
    const cuts = [
      1,
      7,
      8,
      64,
      127,
      128,
      129,
      156,
      157,
      sealedSizeOf(chunkBytes),
      sealedSizeOf(chunkBytes) + 1,
    ]
    cuts.push(
      sealedSizeOf(2 * chunkBytes),
      sealedSizeOf(3 * chunkBytes),
      sealed.length - 1,
      sealed.length - 28,
      0,
    )
    for (const cut of cuts) {
      await putBytes(base, '/f', sealed.subarray(0, cut))
      await expect(whole(backend, '/f'), `cut at ${cut}`).rejects.toMatchObject({
        code: cut === 0 || cut >= 8 ? 'cut-short' : 'corrupted',
      })
    }
  })

  it('does not open after it was extended', async () => {
    const { backend, base } = home()
    await putBytes(backend, '/f', randomBytes(size))
    const sealed = await whole(base, '/f')
    for (const extra of [1, 28, 29, chunkBytes + 28]) {
      await putBytes(base, '/f', Buffer.concat([sealed, Buffer.alloc(extra)]))
      await expect(whole(backend, '/f'), `${extra} more`).rejects.toMatchObject({ code: 'cut-short' })
    }
    await putBytes(base, '/f', Buffer.concat([sealed, sealed.subarray(128, 128 + chunkBytes + 28)]))
    await expect(whole(backend, '/f')).rejects.toMatchObject({ code: 'cut-short' })
  })

  it('gives an error and never wrong bytes after a changed byte anywhere', async () => {
    const { backend, base } = home()
    const text = randomBytes(size)
    await putBytes(backend, '/f', text)
    const sealed = await whole(base, '/f')
    const random = randomFrom(1)
    const places = [
      ...Array.from({ length: 128 }, (_, index) => index),
      ...Array.from({ length: 200 }, () => random(sealed.length)),
    ]
    for (const place of places) {
      const changed = Buffer.from(sealed)
      changed[place] = (changed[place] ?? 0) ^ (1 << random(8))
      await putBytes(base, '/f', changed)
      const read = await whole(backend, '/f').catch((error: unknown) => error)
      // The byte after the magic words and version says nothing and is covered by the wrapping all the same.
      expect(read, `byte ${place}`).toBeInstanceOf(FileError)
    }
  })

  it('does not take a chunk from another place or another file', async () => {
    const { backend, base } = home()
    await putBytes(backend, '/f', randomBytes(size))
    await putBytes(backend, '/g', randomBytes(size))
    const [f, g] = [await whole(base, '/f'), await whole(base, '/g')]
    const chunk = (from: Buffer, index: number) =>
      from.subarray(sealedSizeOf(index * chunkBytes), sealedSizeOf((index + 1) * chunkBytes))
    const swapped = Buffer.concat([
      f.subarray(0, 128),
      chunk(f, 1),
      chunk(f, 0),
      f.subarray(sealedSizeOf(2 * chunkBytes)),
    ])
    const foreign = Buffer.concat([f.subarray(0, 128), chunk(g, 0), f.subarray(sealedSizeOf(chunkBytes))])
    for (const bytes of [swapped, foreign]) {
      await putBytes(base, '/f', bytes)
      await expect(whole(backend, '/f')).rejects.toMatchObject({ code: 'corrupted' })
    }
  })

  it('is replaced whole by who may write it, whatever it is', async () => {
    const { backend, base } = home()
    await putBytes(base, '/f', Buffer.from('nobody encrypted this '.repeat(20)))
    await put(backend, '/f', 'new')
    expect((await whole(backend, '/f')).toString()).toBe('new')
    const otherKey = randomBytes(32)
    const other = createEncryptedBackend({ base, keys: { userKey: () => otherKey } })
    await put(other, '/f', 'newer')
    expect((await whole(other, '/f')).toString()).toBe('newer')
  })

  it('refuses files that nobody encrypted', async () => {
    const { backend, base } = home()
    await putBytes(base, '/f', Buffer.from('just text, and longer than any header would be'.repeat(10)))
    await expect(whole(backend, '/f')).rejects.toMatchObject({ code: 'corrupted' })
    await expect(async () => backend.open(at('/f'), intent())).rejects.toMatchObject({ code: 'corrupted' })
  })
})

describe('the keys of an encrypted home', () => {
  it('fail with the wrong key, and no keeper, each in its own words', async () => {
    const { backend, base } = home()
    await put(backend, '/f', 'hello')
    const other = createEncryptedBackend({ base, keys: { userKey: () => randomBytes(32) } })
    await expect(whole(other, '/f')).rejects.toMatchObject({ code: 'wrong-key' })
    const none = createEncryptedBackend({
      base,
      keys: { userKey: () => Promise.reject(new Error('vault is down')) },
    })
    await expect(whole(none, '/f')).rejects.toMatchObject({ code: 'keeper-unavailable' })
    expect((await none.attributes(at('/f'), { follow: true })).size).toBe(5)
  })

  it('are exchanged in the header alone, and again if that was interrupted', async () => {
    const { backend, base, traffic } = home()
    const text = randomBytes(3 * chunkBytes)
    await putBytes(backend, '/f', text)
    const next = randomBytes(32)
    traffic.read = 0
    expect(await rewrapFile(base, at('/f'), { from: [userKey], to: next })).toBe('rewrapped')
    expect(traffic.read).toBeLessThanOrEqual(1024)
    expect(await rewrapFile(base, at('/f'), { from: [userKey], to: next })).toBe('already')
    expect(
      (await whole(createEncryptedBackend({ base, keys: { userKey: () => next } }), '/f')).equals(text),
    ).toBe(true)
    await expect(whole(backend, '/f')).rejects.toMatchObject({ code: 'wrong-key' })
    await expect(rewrapFile(base, at('/f'), { from: [userKey], to: userKey })).rejects.toMatchObject({
      code: 'wrong-key',
    })
    await putBytes(base, '/g', asSftpgoWrites(Buffer.from('x'), 'open sesame', 'aes-256-gcm'))
    expect(await rewrapFile(base, at('/g'), { from: [userKey], to: next })).toBe('not-ours')
  })

  it('come from a passphrase, the same one every time', async () => {
    const key = await userKeyOf(Buffer.from('open sesame'))
    expect(key).toEqual(await userKeyOf(Buffer.from('open sesame')))
    expect(key.length).toBe(32)
    expect(key).not.toEqual(await userKeyOf(Buffer.from('open sesamf')))
  })

  it('open files of an earlier key while they are wrapped anew', async () => {
    const { backend, base } = home()
    await put(backend, '/f', 'hello')
    const moving = createEncryptedBackend({
      base,
      keys: { userKey: () => randomBytes(32), earlierKeys: () => [userKey] },
    })
    expect((await whole(moving, '/f')).toString()).toBe('hello')
  })
})

describe('an encrypted file that two processes open', () => {
  it.each([
    ['with a lock that the kernel holds', false],
    ['with a lock file', true],
  ])('is written by one of them at a time: %s', async (_, portable) => {
    using folder = temporaryDirectory()
    using place = twoProcesses(folder.path, portable)
    const [one, two] = place.backends
    const text = randomBytes(3 * chunkBytes)
    const file = await one.open(at('/f'), intent())
    await file.write([text], 0)
    await expect(two.open(at('/f'), intent())).rejects.toMatchObject({ code: 'busy' })
    await expect(two.change(at('/f'), { size: 5 }, { follow: true })).rejects.toMatchObject({ code: 'busy' })
    await file.close()
    const other = await two.open(at('/f'), intent())
    await other.write([Buffer.from('changed')], 10)
    await other.close()
    text.write('changed', 10)
    expect((await whole(one, '/f')).equals(text)).toBe(true)
  })

  it('waits a moment for a writer that is about to end', async () => {
    using folder = temporaryDirectory()
    using place = twoProcesses(folder.path, false)
    const [one, two] = place.backends
    const file = await one.open(at('/f'), intent())
    await file.write([Buffer.from('first')], 0)
    const waiting = two.open(at('/f'), intent())
    await new Promise((resolve) => setTimeout(resolve, 60))
    await file.close()
    const other = await waiting
    await other.write([Buffer.from('second')], 5)
    await other.close()
    expect((await whole(one, '/f')).toString()).toBe('firstsecond')
  })

  it('is seen as it is by who has read it and now writes', async () => {
    using folder = temporaryDirectory()
    using place = twoProcesses(folder.path, false)
    const [one, two] = place.backends
    await put(one, '/f', 'short')
    const reader = await one.open(at('/f'), toRead)
    const text = randomBytes(2 * chunkBytes + 100)
    await putBytes(two, '/f', text)
    const writer = await one.open(at('/f'), intent())
    await writer.write([Buffer.from('tail')], text.length)
    await writer.close()
    await reader.close()
    expect((await whole(two, '/f')).equals(Buffer.concat([text, Buffer.from('tail')]))).toBe(true)
  })

  it('gives a reader the new content or an error while another process replaces it, and never calls it broken', async () => {
    using folder = temporaryDirectory()
    using place = twoProcesses(folder.path, false)
    const [one, two] = place.backends
    const texts = [randomBytes(2 * chunkBytes), randomBytes(2 * chunkBytes)]
    await putBytes(one, '/f', texts[0] ?? Buffer.alloc(0))
    const reader = await one.open(at('/f'), toRead)
    const writer = await two.open(at('/f'), intent({ truncate: true }))
    await writer.write([(texts[1] ?? Buffer.alloc(0)).subarray(0, chunkBytes)], 0)
    const into = Buffer.alloc(100)
    await expect(async () => reader.read(into, 10)).rejects.toMatchObject({ code: 'busy' })
    await writer.write([(texts[1] ?? Buffer.alloc(0)).subarray(chunkBytes)], chunkBytes)
    await writer.close()
    expect(await reader.read(into, 10)).toBe(100)
    expect(into.equals((texts[1] ?? Buffer.alloc(0)).subarray(10, 110))).toBe(true)
    await reader.close()
  })

  it('keeps its key while it is written', async () => {
    using folder = temporaryDirectory()
    using place = twoProcesses(folder.path, false)
    const [one] = place.backends
    const file = await one.open(at('/f'), intent())
    await file.write([randomBytes(10 * chunkBytes)], 0)
    const change = { from: [userKey], to: randomBytes(32) }
    await expect(rewrapFile(place.base, at('/f'), change)).rejects.toMatchObject({ code: 'busy' })
    await file.close()
    expect(await rewrapFile(place.base, at('/f'), change)).toBe('rewrapped')
  })
})

describe('a writer that is stopped', () => {
  it.each([
    ['while a new file grows', 0],
    ['while a file of one and a half chunks is added to', chunkBytes + chunkBytes / 2],
    ['while a file of two whole chunks is added to', 2 * chunkBytes],
  ])('costs at most the chunks being written: %s', async (_, before) => {
    const text = randomBytes(6 * chunkBytes)
    // Stop after each number of bytes that reach the disk, as a kill between and inside writes would.
    for (let allowed = 0; allowed < 4; allowed += 0.37) {
      const { backend, base, traffic } = home()
      if (before > 0) await putBytes(backend, '/f', text.subarray(0, before))
      traffic.allowed = Math.floor(allowed * chunkBytes)
      const file = await backend.open(at('/f'), intent())
      try {
        for (let position = before; position < text.length; position += 20_000)
          await file.write([text.subarray(position, position + 20_000)], position)
        await file.close()
      } catch {
        // Stopped, as the test means it to be.
      }
      traffic.allowed = Infinity
      const after = createEncryptedBackend({ base, keys })
      const sealed = await base.attributes(at('/f'), { follow: true })
      if (sealed.size < 128) continue // Stopped inside the header of a new file: nothing was there to lose.
      const left = await whole(after, '/f')
      expect(left.equals(text.subarray(0, left.length))).toBe(true)
      const safe = Math.floor(before / chunkBytes) * chunkBytes
      expect(left.length).toBeGreaterThanOrEqual(safe)
      expect((await after.attributes(at('/f'), { follow: true })).size).toBe(left.length)
      // And it can be gone on with from there.
      const resumed = await after.open(at('/f'), intent())
      await resumed.write([text.subarray(left.length)], left.length)
      await resumed.close()
      expect((await whole(after, '/f')).equals(text)).toBe(true)
    }
  })
})

describe('a writer that is stopped in the middle of a file', () => {
  it('costs at most the chunks that it was writing', async () => {
    const old = randomBytes(6 * chunkBytes)
    const text = randomBytes(2 * chunkBytes)
    for (let allowed = 0; allowed < 2.2; allowed += 0.23) {
      const { backend, base, traffic } = home()
      await putBytes(backend, '/f', old)
      const file = await backend.open(at('/f'), intent())
      traffic.allowed = Math.floor(allowed * chunkBytes)
      const stopped = await Promise.resolve(file.write([text], 2 * chunkBytes)).then(
        () => false,
        () => true,
      )
      traffic.allowed = Infinity
      const after = await createEncryptedBackend({ base, keys }).open(at('/f'), toRead)
      for (let index = 0; index < 6; index += 1) {
        const into = Buffer.alloc(chunkBytes)
        const before = old.subarray(index * chunkBytes, (index + 1) * chunkBytes)
        const read = await Promise.resolve()
          .then(() => after.read(into, index * chunkBytes))
          .catch((error: unknown) => error)
        if (index < 2 || index > 3) expect(into.equals(before)).toBe(true)
        else if (read instanceof FileError) expect([read.code, stopped]).toEqual(['corrupted', true])
        else expect(into.equals(before) || text.includes(into)).toBe(true)
      }
      await after.close()
    }
  })
})

describe('a complete file that is changed', () => {
  it.each([
    ['added to', (file: OpenFile) => file.write([Buffer.alloc(200_000)], 100_000)],
    ['cut', (file: OpenFile) => file.change({ size: 70_000 })],
  ])('is safe on the disk before and after it is %s, whatever a power cut leaves', async (_, change) => {
    const { backend, traffic } = home()
    await putBytes(backend, '/f', randomBytes(100_000))
    const file = await backend.open(at('/f'), intent())
    traffic.calls.length = 0
    await change(file)
    await file.close()
    // The header says that it may change, that lies on the disk, then the change does, then the header says how long it is.
    expect(traffic.calls.at(0)).toBe('write 32 at 96')
    expect(traffic.calls.at(1)).toBe('sync')
    expect(traffic.calls.at(-2)).toBe('sync')
    expect(traffic.calls.at(-1)).toBe('write 32 at 96')
    expect(traffic.calls.filter((call) => call === 'sync')).toHaveLength(2)
  })

  it('waits for no disk when it is new, or replaced whole', async () => {
    const { backend, traffic } = home()
    for (let round = 0; round < 2; round += 1) await putBytes(backend, '/f', randomBytes(300_000))
    expect(traffic.calls).not.toContain('sync')
  })
})

describe('a file that SFTPGo encrypted', () => {
  const sizes = [0, 1, 100, chunkBytes - 1, chunkBytes, chunkBytes + 1, 3 * chunkBytes, 200_000]

  it.each(
    sizes.flatMap((size) => ['aes-256-gcm', 'chacha20-poly1305'].map((cipher) => [size, cipher] as const)),
  )('is read, %i bytes in %s', async (size, cipher) => {
    const { backend, base } = home()
    const text = randomBytes(size)
    await putBytes(base, '/f', asSftpgoWrites(text, 'open sesame', cipher))
    expect((await backend.attributes(at('/f'), { follow: true })).size).toBe(size)
    expect((await whole(backend, '/f')).equals(text)).toBe(true)
    const file = await backend.open(at('/f'), toRead)
    const into = Buffer.alloc(100)
    expect(await file.read(into, Math.floor(size / 2))).toBe(Math.min(100, size - Math.floor(size / 2)))
    await file.close()
  })

  it.each([
    ['aes-70000', 70_000],
    ['aes-65536', 65_536],
    ['chacha-100', 100],
    ['empty', 0],
  ])('is read as Go wrote it with the sio library: %s', async (name, size) => {
    const { backend, base } = home()
    await putBytes(base, '/f', readFileSync(join(import.meta.dirname, `../fixtures/sio/${name}.bin`)))
    const text = Buffer.from(Array.from({ length: size }, (_, index) => ((index * index) >> 3) & 0xff))
    expect((await whole(backend, '/f')).equals(text)).toBe(true)
  })

  it('is not added to, and is replaced whole by a file of ours', async () => {
    const { backend, base } = home()
    await putBytes(base, '/f', asSftpgoWrites(Buffer.from('old'), 'open sesame', 'aes-256-gcm'))
    await expect(async () => backend.open(at('/f'), intent())).rejects.toMatchObject({ code: 'unsupported' })
    await put(backend, '/f', 'new')
    expect((await whole(backend, '/f')).toString()).toBe('new')
    expect((await whole(base, '/f')).subarray(0, 8).toString()).toBe('sftpgots')
  })

  it('does not open with another passphrase, cut or changed', async () => {
    const { backend, base } = home()
    const sealed = asSftpgoWrites(randomBytes(200_000), 'open sesame', 'aes-256-gcm')
    await putBytes(base, '/other', asSftpgoWrites(Buffer.from('x'), 'other', 'aes-256-gcm'))
    await expect(whole(backend, '/other')).rejects.toMatchObject({ code: 'wrong-key' })
    for (const cut of [33 + 65_568, 33 + 2 * 65_568, sealed.length - 1, 33 + 65_568 + 20]) {
      await putBytes(base, '/f', sealed.subarray(0, cut))
      await expect(whole(backend, '/f'), `cut at ${cut}`).rejects.toMatchObject({ code: 'corrupted' })
    }
    const changed = Buffer.from(sealed)
    changed[100_000] = (changed[100_000] ?? 0) ^ 1
    await putBytes(base, '/f', changed)
    await expect(whole(backend, '/f')).rejects.toMatchObject({ code: 'corrupted' })
  })
})

async function sealedBytes(text: Buffer, format: string): Promise<Buffer> {
  if (format === 'dare') return asSftpgoWrites(text, 'open sesame', 'aes-256-gcm')
  const { backend, base } = home()
  await putBytes(backend, '/f', text)
  return whole(base, '/f')
}

/** A disk whose calls all go through the pool. */
function slowDisk(root: string): Backend {
  return openLocalBackend({ root, disks: disksAt({ inline: false, took() {}, median: () => 9999 }) })
}

function disksAt(pace: CallPace): Disks {
  const disk = { calls: pace, bytes: pace, limiter: createLimiter({ atOnce: 4, inLine: 1000 }) }
  return { diskOf: () => disk }
}

/** Two backends that know nothing of each other, over one folder. */
function twoProcesses(root: string, portable: boolean): TwoProcesses {
  const claims = portable
    ? createFileClaims({ works: false, reason: 'a test' }, join(root, '.claims'))
    : fileClaims()
  const open = (): Backend => openLocalBackend({ root, claims })
  const bases = [open(), open(), open()] as const
  return {
    backends: [
      createEncryptedBackend({ base: bases[0], keys }),
      createEncryptedBackend({ base: bases[1], keys }),
    ],
    base: bases[2],
    [Symbol.dispose]() {
      for (const base of bases) void base.close()
    },
  }
}

interface TwoProcesses extends Disposable {
  readonly backends: readonly [Backend, Backend]
  readonly base: Backend
}

/** DARE 2.0 after its public description, with SFTPGo's header before it. */
function asSftpgoWrites(text: Buffer, passphrase: string, cipher: string): Buffer {
  const header = Buffer.concat([Buffer.from([0x10]), randomBytes(32)])
  const key = Buffer.from(hkdfSync('sha256', passphrase, header.subarray(1), '', 32))
  const nonce = randomBytes(12)
  const parts = [header]
  for (let from = 0, index = 0; from < text.length; from += 65_536, index += 1) {
    const plain = text.subarray(from, from + 65_536)
    const head = Buffer.alloc(16)
    head.set([0x20, cipher === 'aes-256-gcm' ? 0 : 1])
    head.writeUInt16LE(plain.length - 1, 2)
    nonce.copy(head, 4)
    head[4] = from + 65_536 >= text.length ? (head[4] ?? 0) | 0x80 : (head[4] ?? 0) & 0x7f
    const own = Buffer.from(head.subarray(4))
    own.writeUInt32LE((own.readUInt32LE(8) ^ index) >>> 0, 8)
    const sealing = createCipheriv(cipher as 'chacha20-poly1305', key, own, { authTagLength: 16 })
    sealing.setAAD(head.subarray(0, 4), { plaintextLength: plain.length })
    parts.push(head, sealing.update(plain), sealing.final(), sealing.getAuthTag())
  }
  return Buffer.concat(parts)
}

/** An encrypted home in memory whose traffic with the "disk" can be watched and stopped. */
function home() {
  const traffic = { read: 0, allowed: Infinity, calls: [] as string[] }
  const memory = createMemoryBackend()
  const base: Backend = {
    ...memory,
    async open(path, how) {
      const file = await memory.open(path, how)
      return {
        ...file,
        read(into, position) {
          traffic.read += into.length
          return file.read(into, position)
        },
        sync() {
          traffic.calls.push('sync')
          return file.sync()
        },
        async write(chunks, position) {
          const bytes = Buffer.concat(chunks)
          traffic.calls.push(`write ${bytes.length} at ${position}`)
          const part = bytes.subarray(0, Math.min(bytes.length, traffic.allowed))
          traffic.allowed -= bytes.length
          await file.write([part], position)
          if (part.length < bytes.length) {
            traffic.allowed = 0
            throw new FileError('input-output', 'Stopped')
          }
        },
      }
    },
  }
  return { backend: createEncryptedBackend({ base, keys }), base, traffic }
}

async function putBytes(backend: Backend, path: string, bytes: Buffer): Promise<void> {
  const file = await backend.open(at(path), intent({ truncate: true }))
  await file.write([bytes], 0)
  await file.close()
}

async function whole(backend: Backend, path: string): Promise<Buffer> {
  const file = await backend.open(at(path), toRead)
  try {
    const parts: Buffer[] = []
    for (let position = 0; ;) {
      const into = Buffer.alloc(100_000)
      const length = await file.read(into, position)
      if (length === 0) return Buffer.concat(parts)
      parts.push(into.subarray(0, length))
      position += length
    }
  } finally {
    await file.close()
  }
}

function written(model: Buffer, bytes: Buffer, position: number): Buffer {
  const result = resized(model, Math.max(model.length, position + bytes.length))
  bytes.copy(result, position)
  return result
}

function resized(model: Buffer, size: number): Buffer {
  const result = Buffer.alloc(size)
  model.copy(result)
  return result
}
