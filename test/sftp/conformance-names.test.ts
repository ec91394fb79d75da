import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { virtualPath } from '../../src/base/virtual-path.ts'
import { openLocalBackend } from '../../src/storage/local.ts'
import { eachPlace } from '../helpers/places.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { filesOn, homeOn } from '../helpers/user-files.ts'
import {
  attributesOf,
  attrs,
  get,
  listAll,
  namesOf,
  put,
  SftpPeer,
  statusOf,
  u32,
  u64,
} from '../helpers/sftp-peer.ts'

const [READ, WRITE, CREATE] = [1, 2, 8]

eachPlace('STAT and SETSTAT', (place) => {
  const greeted = (): Promise<SftpPeer> => SftpPeer.greeted(place.files())

  it('C-49 follows links in STAT and not in LSTAT; dangling, looping and misplaced are "no such file"', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'content')
    expect(await peer.status(20, '/f', '/link')).toBe(0)
    expect(await peer.status(20, '/nowhere', '/dangling')).toBe(0)
    expect(await peer.status(20, '/loop2', '/loop1')).toBe(0)
    expect(await peer.status(20, '/loop1', '/loop2')).toBe(0)
    expect(attributesOf(await peer.request(17, '/link')).mode & 0o170000).toBe(0o100000)
    expect(attributesOf(await peer.request(7, '/link')).mode & 0o170000).toBe(0o120000)
    expect(attributesOf(await peer.request(7, '/dangling')).mode & 0o170000).toBe(0o120000)
    for (const path of ['/dangling', '/loop1', '/f/below']) expect(await peer.status(17, path)).toBe(2)
  })

  it('C-50 answers FSTAT after the name is gone', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'content')
    const handle = await peer.open('/f', READ)
    expect(await peer.status(13, '/f')).toBe(0)
    expect(attributesOf(await peer.request(8, handle)).size).toBe(7n)
  })

  it('C-51 tells size, owner, mode and times, the times as unsigned numbers', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    for (const time of [0, 1, 2 ** 31 - 1, 2 ** 31 + 5, 2 ** 32 - 2]) {
      expect(await peer.status(9, '/f', attrs({ times: [time, time] }))).toBe(0)
      const found = attributesOf(await peer.request(17, '/f'))
      expect(found).toMatchObject({ flags: 15, size: 1n, accessTime: time, modifyTime: time })
    }
  })

  it('C-52 truncates and extends by FSETSTAT, and later WRITEs are right', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', READ | WRITE | CREATE)
    expect(await peer.status(6, handle, u64(0), '0123456789')).toBe(0)
    expect(await peer.status(10, handle, attrs({ size: 4 }))).toBe(0)
    expect(await peer.status(6, handle, u64(4), 'AB')).toBe(0)
    expect(await peer.status(10, handle, attrs({ size: 8 }))).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(await get(peer, '/f')).toEqual(Buffer.concat([Buffer.from('0123AB'), Buffer.alloc(2)]))
  })

  it('C-53 takes several attributes in one SETSTAT', async () => {
    await using peer = await greeted()
    await put(peer, '/f', '0123456789')
    expect(await peer.status(9, '/f', attrs({ size: 3, mode: 0o600, times: [100, 200] }))).toBe(0)
    const found = attributesOf(await peer.request(17, '/f'))
    expect(found).toMatchObject({ size: 3n, accessTime: 100, modifyTime: 200 })
    expect(found.mode & 0o7777).toBe(0o600)
  })

  it('C-54 takes no mode bits beyond 0777', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await peer.status(9, '/f', attrs({ mode: 0o107755 }))).toBe(0)
    expect(attributesOf(await peer.request(17, '/f')).mode & 0o7777).toBe(0o755)
  })

  it('C-55 changes nothing and says OK for a SETSTAT without attributes', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    const before = attributesOf(await peer.request(17, '/f'))
    expect(await peer.status(9, '/f', u32(0))).toBe(0)
    expect(attributesOf(await peer.request(17, '/f'))).toEqual(before)
  })

  it('C-56 keeps the times that a client sets before it closes its upload', async () => {
    await using peer = await greeted()
    const handle = await peer.open('/f', WRITE | CREATE)
    expect(await peer.status(6, handle, u64(0), 'content')).toBe(0)
    expect(await peer.status(10, handle, attrs({ times: [1_000_000_000, 1_000_000_001] }))).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(attributesOf(await peer.request(17, '/f'))).toMatchObject({ modifyTime: 1_000_000_001 })
  })

  it('C-57 touches the link itself by lsetstat and refuses a size', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await peer.status(20, '/f', '/link')).toBe(0)
    const before = attributesOf(await peer.request(17, '/f')).modifyTime
    expect(await peer.status(200, 'lsetstat@openssh.com', '/link', attrs({ times: [11, 12] }))).toBe(0)
    expect(attributesOf(await peer.request(7, '/link')).modifyTime).toBe(12)
    expect(attributesOf(await peer.request(17, '/f')).modifyTime).toBe(before)
    expect(await peer.status(200, 'lsetstat@openssh.com', '/link', attrs({ size: 1 }))).toBe(5)
  })

  it('C-58 answers SETSTAT of a missing name with "no such file", without the right with "permission denied"', async () => {
    await using peer = await greeted()
    expect(await peer.status(9, '/missing', attrs({ mode: 0o600 }))).toBe(2)
    await put(peer, '/f', 'x')
    const files = place.files({ user: { permissions: { '/': ['list', 'download', 'upload'] } } })
    await using other = await SftpPeer.greeted(files)
    expect(await other.status(9, '/f', attrs({ mode: 0o600 }))).toBe(3)
    expect(await other.status(9, '/f', attrs({ times: [1, 2] }))).toBe(3)
    expect(await other.status(9, '/f', attrs({ size: 0 }))).toBe(3)
  })
})

eachPlace('directories', (place) => {
  const greeted = (): Promise<SftpPeer> => SftpPeer.greeted(place.files())

  it('C-59 lists without "." and "..", ends with EOF and again with EOF', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    const handle = await peer.handle(11, '/')
    expect(namesOf(await peer.request(12, handle)).map(({ name }) => name)).toEqual(['f'])
    for (let again = 0; again < 3; again += 1) expect(await peer.status(12, handle)).toBe(1)
    expect(await peer.status(4, handle)).toBe(0)
  })

  it('C-60 lists 10,000 entries, every name exactly once, in packets of a fair size', async () => {
    await using peer = await greeted()
    const backend = place.backend()
    await backend.makeDirectory(virtualPath('/big'), 0o755)
    for (let index = 0; index < 10_000; index += 1) {
      const intent = { read: false, write: true, append: false, create: true, truncate: true }
      const file = backend.open(virtualPath(`/big/entry-${index}`), {
        ...intent,
        exclusive: false,
        mode: 0o644,
      })
      await (await file).close()
    }
    const names = await listAll(peer, '/big')
    expect(new Set(names.map(({ name }) => name)).size).toBe(10_000)
    expect(names).toHaveLength(10_000)
    const handle = await peer.handle(11, '/big')
    expect((await peer.request(12, handle)).body.length).toBeLessThan(100_000)
  })

  it('C-61 C-62 goes on listing while the directory changes under it', async () => {
    await using peer = await greeted()
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    for (let index = 0; index < 600; index += 1) await put(peer, `/d/stable-${index}`, '')
    const handle = await peer.handle(11, '/d')
    const seen = namesOf(await peer.request(12, handle)).map(({ name }) => name)
    await put(peer, '/d/new', 'x')
    expect(await peer.status(13, '/d/stable-0')).toBe(0)
    expect(await peer.status(18, '/d', '/renamed')).toBe(0)
    for (;;) {
      const reply = await peer.request(12, handle)
      if (reply.type === 101) break
      seen.push(...namesOf(reply).map(({ name }) => name))
    }
    const stable = seen.filter((name) => name.startsWith('stable-') && name !== 'stable-0')
    expect(new Set(stable).size).toBe(stable.length)
    expect(stable).toHaveLength(599)
    expect(await peer.status(4, handle)).toBe(0)
  })

  it('C-63 writes long names that read as ls -l, whatever the name', async () => {
    await using peer = await greeted()
    await put(peer, '/plain', 'x'.repeat(1234))
    await put(peer, '/old', 'x')
    await put(peer, '/new\nline', 'x')
    expect(await peer.status(9, '/old', attrs({ times: [1, 86_400 * 365], mode: 0o754 }))).toBe(0)
    const names = await listAll(peer, '/')
    const line = /^[-dlpscb][-rwxsStT]{9} +\d+ \S+ +\S+ +\d+ [A-Z][a-z]{2} [ \d]\d (\d\d:\d\d| \d{4}) (.*)$/
    for (const { longName } of names) expect(longName).toMatch(line)
    const old = names.find(({ name }) => name === 'old')
    expect(old?.longName).toMatch(/^-rwxr-xr-- .* 1 (Dec 31|Jan  1)  197[01] old$/)
    expect(names.find(({ name }) => name === 'plain')?.longName).toMatch(/ 1234 [A-Z].* \d\d:\d\d plain$/)
    expect(names.find(({ name }) => name === 'new\nline')?.longName).toMatch(/new\?line$/)
  })

  it('C-64 lists links that lead nowhere, with their own attributes', async () => {
    await using peer = await greeted()
    expect(await peer.status(20, '/nowhere', '/dangling')).toBe(0)
    const [entry] = await listAll(peer, '/')
    expect(entry?.name).toBe('dangling')
    expect((entry?.attributes?.mode ?? 0) & 0o170000).toBe(0o120000)
  })

  it('C-65 S-42 takes names of 255 bytes of any kind, and answers 256 with "bad message"', async () => {
    await using peer = await greeted()
    const composed = 'caf\u00e9'
    const decomposed = 'cafe\u0301'
    for (const name of ['ü', composed, decomposed, 'x'.repeat(255), '-rf', ' both ', 'dot.']) {
      await put(peer, `/${name}`, name)
      expect((await get(peer, `/${name}`)).toString()).toBe(name)
    }
    expect((await listAll(peer, '/')).map(({ name }) => name)).toEqual(
      expect.arrayContaining([composed, decomposed]),
    )
    expect(statusOf(await peer.request(3, `/${'x'.repeat(256)}`, u32(WRITE | CREATE), u32(0)))).toBe(5)
    expect(await peer.status(14, `/${'y'.repeat(256)}`, u32(0))).toBe(5)
  })

  it('C-66 refuses MKDIR of what exists and below what does not; the mode counts', async () => {
    await using peer = await greeted()
    expect(await peer.status(14, '/d', attrs({ mode: 0o700 }))).toBe(0)
    expect(attributesOf(await peer.request(17, '/d')).mode & 0o7777).toBe(0o700)
    expect(await peer.status(14, '/d', u32(0))).toBe(4)
    expect(await peer.status(14, '/missing/d', u32(0))).toBe(2)
  })

  it('C-67 refuses RMDIR of a directory with entries, of a file and of the root', async () => {
    await using peer = await greeted()
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    await put(peer, '/d/f', 'x')
    expect(await peer.status(15, '/d')).toBe(4)
    expect([2, 4]).toContain(await peer.status(15, '/d/f'))
    expect(await peer.status(15, '/')).not.toBe(0)
    expect(await peer.status(13, '/d/f')).toBe(0)
    expect(await peer.status(15, '/d')).toBe(0)
  })

  it('C-68 refuses REMOVE of a directory; of a link it removes the link alone', async () => {
    await using peer = await greeted()
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    expect(await peer.status(13, '/d')).toBe(4)
    await put(peer, '/f', 'x')
    expect(await peer.status(20, '/f', '/link')).toBe(0)
    expect(await peer.status(13, '/link')).toBe(0)
    expect((await get(peer, '/f')).toString()).toBe('x')
  })

  it('C-69 answers OPENDIR of a file with "no such file", without the right with "permission denied"', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await peer.status(11, '/f')).toBe(2)
    await using other = await SftpPeer.greeted(place.files({ user: { permissions: { '/': ['download'] } } }))
    expect(await other.status(11, '/')).toBe(3)
  })
})

eachPlace('paths and links', (place) => {
  const greeted = (): Promise<SftpPeer> => SftpPeer.greeted(place.files())
  const realpath = async (peer: SftpPeer, path: string): Promise<string> =>
    namesOf(await peer.request(16, path))[0]?.name ?? ''

  it('C-70 gives the start directory for "." and "", also for a missing last component', async () => {
    await using peer = await SftpPeer.greeted(
      place.files({ user: { filters: { start_directory: '/start' } } }),
    )
    expect(await peer.status(14, '/start', u32(0))).toBe(0)
    expect(await realpath(peer, '.')).toBe('/start')
    expect(await realpath(peer, '')).toBe('/start')
    expect(await realpath(peer, 'missing')).toBe('/start/missing')
    expect(await peer.status(16, '/missing/middle')).toBe(2)
  })

  it('C-71 stays at the root with any number of ".."', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    expect(await peer.status(20, '../../..', '/d/up')).toBe(3)
    expect(await realpath(peer, '/../../..')).toBe('/')
    expect(await realpath(peer, '../d/../..')).toBe('/')
    expect((await get(peer, '/../../../f')).toString()).toBe('x')
    expect((await peer.request(17, '../../f')).type).toBe(105)
    expect(await peer.status(14, '/../made', u32(0))).toBe(0)
    expect(await place.realNames()).toEqual(['d', 'f', 'made'])
    await place.backend().links?.symbolic('../../../..', virtualPath('/out'))
    expect((await listAll(peer, '/out')).map(({ name }) => name).sort()).toEqual(['d', 'f', 'made', 'out'])
  })

  it('C-72 takes repeated and trailing slashes and "./" as the clean path', async () => {
    await using peer = await greeted()
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    await put(peer, '/d/f', 'x')
    for (const path of ['//d//f', '/d/./f', '/./d/f', '/d/../d/f']) {
      expect((await get(peer, path)).toString()).toBe('x')
    }
    expect((await peer.request(17, '/d/')).type).toBe(105)
    expect(await realpath(peer, '//d///')).toBe('/d')
  })

  it('C-73 takes relative paths from the start directory', async () => {
    await using peer = await SftpPeer.greeted(
      place.files({ user: { filters: { start_directory: '/start' } } }),
    )
    expect(await peer.status(14, '/start', u32(0))).toBe(0)
    await put(peer, 'f', 'here')
    expect((await get(peer, '/start/f')).toString()).toBe('here')
  })

  it('C-74 takes the target of SYMLINK first, or the link first for clients that do so', async () => {
    await using peer = await greeted()
    await put(peer, '/target', 'x')
    expect(await peer.status(20, '/target', '/link')).toBe(0)
    expect(namesOf(await peer.request(19, '/link'))[0]?.name).toBe('/target')
    await using draft = await SftpPeer.greeted(place.files(), { symlinkOrder: 'link-first' })
    expect(await draft.status(20, '/link2', '/target')).toBe(0)
    expect(namesOf(await draft.request(19, '/link2'))[0]?.name).toBe('/target')
  })

  it('C-75 refuses SYMLINK onto a name in use and targets outside', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await peer.status(20, '/f', '/f')).toBe(4)
    expect(await peer.status(20, '../outside', '/link')).toBe(3)
    expect(await peer.status(20, '/etc/passwd', '/link')).toBe(0)
    // An absolute target counts from the home's root.
    expect(await peer.status(17, '/link')).toBe(2)
    await using off = await SftpPeer.greeted(place.files({ policy: { symbolicLinks: false } }))
    expect(await off.status(20, '/f', '/other')).toBe(8)
  })

  it('C-76 answers READLINK of what is no link with "bad message", and gives the stored target', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await peer.status(19, '/f')).toBe(5)
    expect(await peer.status(20, 'some/where', '/link')).toBe(0)
    expect(namesOf(await peer.request(19, '/link'))[0]?.name).toBe('some/where')
  })

  it('C-77 refuses RENAME onto a name in use, both files untouched', async () => {
    await using peer = await greeted()
    await put(peer, '/a', 'a')
    await put(peer, '/b', 'b')
    expect(await peer.status(18, '/a', '/b')).toBe(4)
    expect((await get(peer, '/a')).toString()).toBe('a')
    expect((await get(peer, '/b')).toString()).toBe('b')
    expect(await peer.status(18, '/a', '/c')).toBe(0)
    expect(await peer.status(17, '/a')).toBe(2)
    expect(await peer.status(18, '/missing', '/d')).toBe(2)
  })

  it('C-78 replaces by posix-rename, but not a directory with entries', async () => {
    await using peer = await greeted()
    const posixRename = (from: string, to: string): Promise<number> =>
      peer.status(200, 'posix-rename@openssh.com', from, to)
    await put(peer, '/a', 'a')
    await put(peer, '/b', 'b')
    expect(await posixRename('/a', '/b')).toBe(0)
    expect((await get(peer, '/b')).toString()).toBe('a')
    for (const name of ['/d1', '/d2']) expect(await peer.status(14, name, u32(0))).toBe(0)
    await put(peer, '/d2/f', 'x')
    expect(await posixRename('/d1', '/d2')).toBe(4)
  })

  it('C-79 refuses a directory into itself, and lets an open file be renamed', async () => {
    await using peer = await greeted()
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    expect(await peer.status(18, '/d', '/d/inside')).not.toBe(0)
    await put(peer, '/f', 'content')
    const reading = await peer.open('/f', READ)
    expect(await peer.status(18, '/f', '/g')).toBe(0)
    expect((await peer.request(5, reading, u64(0), u32(10))).type).toBe(103)
    const writing = await peer.open('/new', WRITE | CREATE)
    expect(await peer.status(6, writing, u64(0), 'half ')).toBe(0)
    expect(await peer.status(18, '/new', '/newer')).toBe(0)
    expect(await peer.status(6, writing, u64(5), 'whole')).toBe(0)
    expect(await peer.status(4, writing)).toBe(0)
    expect((await get(peer, '/newer')).toString()).toBe('half whole')
    expect(await peer.status(17, '/new')).toBe(2)
  })

  it('C-80 makes hard links where the policy allows, never onto a name in use', async () => {
    await using peer = await greeted()
    await put(peer, '/f', 'x')
    expect(await peer.status(200, 'hardlink@openssh.com', '/f', '/g')).toBe(0)
    expect((await get(peer, '/g')).toString()).toBe('x')
    expect(await peer.status(200, 'hardlink@openssh.com', '/f', '/g')).toBe(4)
    await using off = await SftpPeer.greeted(place.files({ policy: { hardLinks: false } }))
    expect(await off.status(200, 'hardlink@openssh.com', '/f', '/h')).toBe(8)
  })
})

describe('a confined home', () => {
  const permissions = { '/': ['*' as const] }

  for (const portable of [false, true]) {
    const way = portable ? 'the portable way' : 'the kernel'
    it(`S-39 tells no target outside of the home, by ${way}`, async () => {
      using directory = temporaryDirectory()
      const home = directory.file('home-of-ada')
      mkdirSync(join(home, 'd'), { recursive: true })
      writeFileSync(directory.file('secret'), 'of the machine')
      const backend = openLocalBackend({ root: home, portable })
      const files = filesOn(backend, {
        home: homeOn(backend, { realRoot: home }),
        policy: { symbolicLinks: true },
      })
      await using peer = await SftpPeer.greeted(files)
      const readlink = async (path: string): Promise<string | number> => {
        const reply = await peer.request(19, path)
        return reply.type === 101 ? statusOf(reply) : (namesOf(reply)[0]?.name ?? '')
      }
      const stored = {
        absolute: directory.file('secret'),
        system: '/etc/passwd',
        sibling: '../secret',
        far: 'd/../../../../etc/passwd',
        'd/disguised': `${home}/../secret`,
        'd/relative': '../../secret',
      }
      for (const [name, target] of Object.entries(stored)) {
        symlinkSync(target, join(home, name))
        expect.soft(await readlink(`/${name}`), name).toBe(3)
        expect.soft(await peer.status(17, `/${name}`), name).toBe(2)
      }
      // What the home has is told as the home sees it.
      await put(peer, '/secret', 'of ada')
      for (const name of ['sibling', 'd/disguised', 'd/relative'])
        expect.soft(await readlink(`/${name}`), name).toBe(name === 'd/disguised' ? 3 : '/secret')
      symlinkSync('/secret', join(home, 'of-the-home'))
      symlinkSync(`${home}/d`, join(home, 'real'))
      expect(await readlink('/of-the-home')).toBe('/secret')
      expect(await readlink('/real')).toBe('/d')
      // A target that the client itself chose is no news to it, and is still one from the home.
      expect(await peer.status(20, '/not/yet', '/dangling')).toBe(0)
      expect(await readlink('/dangling')).toBe('/not/yet')
      expect(await peer.status(20, '/secret', '/made')).toBe(0)
      expect(await readlink('/made')).toBe('/secret')
      expect((await get(peer, '/made')).toString()).toBe('of ada')
      await backend.close()
    })

    it(`S-39 says no real path of this machine, whatever fails and whatever is listed, by ${way}`, async () => {
      using directory = temporaryDirectory()
      const home = directory.file('real-home-of-ada')
      mkdirSync(home)
      symlinkSync(`${home}/f`, join(home, 'real'))
      symlinkSync('../../..', join(home, 'up'))
      symlinkSync('loop', join(home, 'loop'))
      mkdirSync(join(home, 'd'))
      const backend = openLocalBackend({ root: home, portable })
      const files = filesOn(backend, {
        home: homeOn(backend, { realRoot: home }),
        policy: { symbolicLinks: true, hardLinks: true },
      })
      await using peer = await SftpPeer.greeted(files)
      await put(peer, '/f', 'content')
      const paths = [
        '/',
        '/f',
        '/f/x',
        '/d',
        '/real',
        '/up',
        '/up/f',
        '/loop',
        '/missing/x',
        '..',
        '/../f',
        '',
      ]
      const replies: Buffer[] = []
      const ask = async (type: number, ...fields: Parameters<SftpPeer['request']>[1][]): Promise<void> => {
        replies.push((await peer.request(type, ...fields)).body)
      }
      for (const path of paths) {
        for (const type of [7, 11, 13, 15, 16, 17, 19])
          if (type !== 13 || path !== '/f') await ask(type, path)
        await ask(3, path, u32(READ), u32(0))
        await ask(14, path, u32(0))
        await ask(18, path, '/missing/y')
        await ask(20, path, '/f')
        await ask(200, 'hardlink@openssh.com', path, '/d')
        await ask(200, 'statvfs@openssh.com', path)
        await ask(200, 'expand-path@openssh.com', path)
      }
      for (const { longName, name } of await listAll(peer, '/')) replies.push(Buffer.from(longName + name))
      expect(replies.length).toBeGreaterThan(150)
      expect(replies.filter((body) => body.includes(directory.path) || body.includes('real-home'))).toEqual(
        [],
      )
      await backend.close()
    })
  }

  it('S-41 gives no second names, no owners and no special modes unless the policy does', async () => {
    using directory = temporaryDirectory()
    const backend = openLocalBackend({ root: directory.path })
    await using peer = await SftpPeer.greeted(filesOn(backend, { user: { permissions } }))
    await put(peer, '/f', 'x')
    expect(await peer.status(200, 'hardlink@openssh.com', '/f', '/g')).toBe(8)
    expect(await peer.status(20, '/f', '/l')).toBe(8)
    expect(await peer.status(9, '/f', attrs({ owner: [12_345, 12_345] }))).toBe(3)
    expect(await peer.status(9, '/f', attrs({ mode: 0o6755 }))).toBe(0)
    const found = statSync(directory.file('f'))
    expect([found.mode & 0o7777, found.uid]).toEqual([0o755, process.getuid?.()])
    const handle = await peer.open('/new', WRITE | CREATE, attrs({ mode: 0o4777 }))
    expect(await peer.status(10, handle, attrs({ mode: 0o2711 }))).toBe(0)
    expect(await peer.status(4, handle)).toBe(0)
    expect(statSync(directory.file('new')).mode & 0o7000).toBe(0)
    expect(await peer.status(14, '/d', attrs({ mode: 0o3777 }))).toBe(0)
    expect(statSync(directory.file('d')).mode & 0o7000).toBe(0)
    await backend.close()
  })
})

describe('long listings', () => {
  it('C-60 lists 100,000 entries in bounded memory, the first reply soon', async () => {
    const backend = createMemoryBackend()
    for (let index = 0; index < 100_000; index += 1) {
      await backend.makeDirectory(virtualPath(`/entry-${index}`), 0o755)
    }
    await using peer = await SftpPeer.greeted(filesOn(backend))
    const start = performance.now()
    const handle = await peer.handle(11, '/')
    await peer.request(12, handle)
    expect(performance.now() - start).toBeLessThan(200)
    expect((await listAll(peer, '/')).length).toBe(100_000)
  })
})
