import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLimiter } from '../../src/base/limiter.ts'
import { confinement } from '../../src/native/open-directory.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { backendCases } from '../../src/storage/backend-cases.ts'
import type { CallPace } from '../../src/storage/call-pace.ts'
import type { Disks } from '../../src/storage/disks.ts'
import { at, get, intent, put, toRead } from '../../src/storage/cases/backend-case.ts'
import { openLocalBackend, type LocalBackendOptions } from '../../src/storage/local.ts'

const kernel = confinement()

/** Ways to the disk: which walk, and where its calls run. */
const ways = [
  { way: 'the kernel confines, inline', portable: false, inline: true },
  { way: 'the kernel confines, in the pool', portable: false, inline: false },
  { way: 'the portable walk, inline', portable: true, inline: true },
  { way: 'the portable walk, in the pool', portable: true, inline: false },
]

let folder: string
let backend: Backend

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'local-backend-'))
})

afterEach(async () => {
  await backend.close()
  rmSync(folder, { recursive: true })
})

describe.each(ways)('a local backend: $way', ({ portable, inline }) => {
  it.skipIf(!portable && !kernel.works).each(backendCases)('$sentence', async (one) => {
    backend = openLocalBackend({ root: folder, portable, disks: disksThatAre(inline) })
    await expect(one.run(backend)).resolves.toBeUndefined()
  })
})

describe.each(ways)('a local backend: $way', ({ portable, inline }) => {
  const open = (options: Partial<LocalBackendOptions> = {}): Backend =>
    (backend = openLocalBackend({ root: folder, portable, disks: disksThatAre(inline), ...options }))

  it('refuses pipes, sockets and devices at once', async () => {
    open()
    execFileSync('mkfifo', [join(folder, 'pipe')])
    const server = createServer().listen(join(folder, 'socket'))
    await once(server, 'listening')
    const special = ['/pipe', '/socket']
    if (process.getuid?.() === 0) {
      execFileSync('mknod', [join(folder, 'device'), 'c', '1', '3'])
      special.push('/device')
    }
    const start = performance.now()
    for (const path of special)
      for (const how of [
        toRead,
        intent(),
        intent({ read: false }),
        intent({ truncate: true, create: false }),
      ])
        await expect(async () => backend.open(at(path), how)).rejects.toMatchObject({
          code: 'not-a-regular-file',
        })
    expect(performance.now() - start).toBeLessThan(1000)
    const kinds = (await namesAndKinds(backend)).join(' ')
    expect(kinds).toContain('pipe:fifo socket:socket')
    await expect(async () =>
      backend.change(at('/pipe'), { size: 0 }, { follow: true }),
    ).rejects.toMatchObject({
      code: 'not-a-regular-file',
    })
    await backend.remove(at('/pipe'))
    server.close()
  })

  it('does not leak a descriptor, whatever fails', async () => {
    open()
    await put(backend, '/file', 'x')
    await backend.makeDirectory(at('/d'), 0o755)
    await backend.links?.symbolic('d/../loop', at('/loop'))
    const before = readdirSync('/proc/self/fd').length
    for (let round = 0; round < 20; round += 1)
      for (const path of ['/file/x', '/d', '/loop/x', '/missing/x', '/file', '/d/x']) {
        await quietly(() => backend.attributes(at(path), { follow: true }))
        await quietly(() => backend.change(at(path), { size: 1, mode: 0o700 }, { follow: true }))
        await quietly(() => backend.change(at(path), { size: 1 }, { follow: false }))
        await quietly(async () => (await backend.open(at(path), toRead)).close())
        await quietly(async () => {
          const listing = await backend.list(at(path))
          await listing.next(1)
          await listing.close()
        })
        await quietly(() => backend.rename(at(path), at('/missing/y'), { replace: false }))
        await quietly(() => backend.rename(at('/missing/y'), at(path), { replace: true }))
        await quietly(() => backend.links?.hard(at(path), at('/d/x/y')))
        await quietly(() => backend.resolve(at(path)))
        await quietly(() => backend.links?.read(at(path)))
      }
    // The pool may be opening one of its own when it first runs.
    expect(readdirSync('/proc/self/fd').length - before).toBeLessThanOrEqual(1)
  })

  it('needs a root that is a directory, or makes one', async () => {
    expect(() => open({ root: join(folder, 'missing') })).toThrow(
      expect.objectContaining({ code: 'not-found' }),
    )
    writeFileSync(join(folder, 'file'), '')
    expect(() => open({ root: join(folder, 'file') })).toThrow(
      expect.objectContaining({ code: 'not-a-directory' }),
    )
    // A home may be what a plugin says: no place may keep the server busy for ever.
    expect(() => open({ root: '/proc/none/home', makeRoot: { mode: 0o700 } })).toThrow(
      'Cannot make the directory "/proc/none/home"',
    )
    open({ root: join(folder, 'made/here'), makeRoot: { mode: 0o700 } })
    expect((await backend.attributes(at('/'), { follow: true })).mode).toBe(0o700)
  })

  it('confines nothing with the root "/" when told so', async () => {
    open({ root: '/', confined: false })
    writeFileSync(join(folder, 'file'), 'hello')
    symlinkSync(join(folder, 'file'), join(folder, 'link'))
    expect(await get(backend, join(folder, 'link'))).toBe('hello')
    const owner = { uid: 12_345, gid: 54_321 }
    if (process.getuid?.() === 0) {
      await backend.change(at(join(folder, 'file')), { owner }, { follow: true })
      // The kernel takes setuid bits away when the owner changes: they come after.
      await backend.change(at(join(folder, 'file')), { mode: 0o6755 }, { follow: true })
      const changed = await backend.attributes(at(join(folder, 'file')), { follow: true })
      expect(changed).toMatchObject({ ...owner, mode: 0o6755 })
      await backend.change(at(join(folder, 'link')), { owner: { uid: 7, gid: 8 } }, { follow: false })
      expect(await backend.attributes(at(join(folder, 'file')), { follow: true })).toMatchObject(owner)
      expect(await backend.attributes(at(join(folder, 'link')), { follow: false })).toMatchObject({
        uid: 7,
        gid: 8,
      })
    }
  })

  it('treats a link that holds a real path of this machine as a path from the home', async () => {
    open()
    writeFileSync(join(folder, 'file'), 'hello')
    symlinkSync(join(folder, 'file'), join(folder, 'real'))
    symlinkSync('/etc/hostname', join(folder, 'elsewhere'))
    for (const path of ['/real', '/elsewhere'])
      await expect(async () => backend.open(at(path), toRead)).rejects.toMatchObject({ code: 'not-found' })
  })

  it('waits for what is under way before it closes a file', async () => {
    open()
    const file = await backend.open(at('/a'), intent())
    const writes = Array.from({ length: 10 }, (_, index) =>
      file.write([Buffer.alloc(10_000, 65)], index * 10_000),
    )
    const closed = file.close()
    expect(() => file.read(Buffer.alloc(1), 0)).toThrow(expect.objectContaining({ code: 'bad-handle' }))
    await Promise.all(writes.map(async (write) => write))
    await closed
    expect((await backend.attributes(at('/a'), { follow: true })).size).toBe(100_000)
  })

  it('holds files beyond 4 GiB at their offsets', async () => {
    open()
    const file = await backend.open(at('/big'), intent())
    await file.write([Buffer.from('far')], 5 * 2 ** 30)
    const into = Buffer.alloc(3)
    await file.read(into, 5 * 2 ** 30)
    expect(into.toString()).toBe('far')
    expect((await file.attributes()).size).toBe(5 * 2 ** 30 + 3)
    await file.close()
  })
})

async function quietly(action: () => unknown): Promise<void> {
  try {
    await action()
  } catch {
    // What fails here is the point: nothing may be left open.
  }
}

async function namesAndKinds(from: Backend): Promise<readonly string[]> {
  const listing = await from.list(at('/'))
  const entries = await listing.next(100)
  await listing.close()
  return entries.map(({ name, attributes }) => `${name}:${attributes.kind}`).sort()
}

/** Disks whose calls stay where they are told to. */
function disksThatAre(inline: boolean): Disks {
  const pace: CallPace = { inline, took() {}, median: () => 0 }
  const disk = { calls: pace, bytes: pace, limiter: createLimiter({ atOnce: 2, inLine: 10_000 }) }
  return { diskOf: () => disk }
}
