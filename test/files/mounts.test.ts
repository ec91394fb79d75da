import { readdirSync, readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { virtualPath } from '../../src/base/virtual-path.ts'
import { createAccess } from '../../src/files/access.ts'
import { createMounts, type Mount } from '../../src/files/mounts.ts'
import { createQuota } from '../../src/files/quota.ts'
import { createMemoryUsageLedger, type UsageCounter } from '../../src/files/usage-ledger.ts'
import { createNameRules } from '../../src/accounts/name-rules.ts'
import { createPermissions } from '../../src/accounts/permissions.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { openLocalBackend } from '../../src/storage/local.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { attributesOf, get, listAll, namesOf, put, SftpPeer, u32 } from '../helpers/sftp-peer.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { filesOn, homeOn } from '../helpers/user-files.ts'

function folder(at: string, backend: Backend, counter?: UsageCounter, size = 0, realRoot = ''): Mount {
  return {
    at: virtualPath(at),
    backend,
    realRoot,
    provider: 0,
    quota: createQuota(counter, { size, files: 0 }),
  }
}

describe('virtual folders', () => {
  it('are listed and reached, also where the parent has no such directory', async () => {
    const shared = createMemoryBackend()
    const files = filesOn(createMemoryBackend(), {
      folders: [folder('/shared', shared), folder('/deep/er/mount', createMemoryBackend())],
      policy: { symbolicLinks: true },
    })
    await using peer = await SftpPeer.greeted(files)
    await put(peer, '/own', 'x')
    await put(peer, '/shared/f', 'shared content')
    const names = async (path: string): Promise<string[]> =>
      (await listAll(peer, path)).map(({ name }) => name).sort()
    expect(await names('/')).toEqual(['deep', 'own', 'shared'])
    expect(await names('/deep')).toEqual(['er'])
    expect(await names('/deep/er')).toEqual(['mount'])
    expect(await names('/deep/er/mount')).toEqual([])
    expect(await names('/shared')).toEqual(['f'])
    for (const path of ['/deep', '/deep/er', '/deep/er/mount', '/shared']) {
      expect(attributesOf(await peer.request(17, path)).mode & 0o170000).toBe(0o040000)
      expect(namesOf(await peer.request(16, path))[0]?.name).toBe(path)
    }
    expect((await shared.attributes(virtualPath('/f'), { follow: false })).size).toBe(14)
    expect(namesOf(await peer.request(16, '/shared/f'))[0]?.name).toBe('/shared/f')
  })

  it('cannot be removed, renamed or made, nor can a directory that holds one be renamed', async () => {
    const files = filesOn(createMemoryBackend(), { folders: [folder('/d/mount', createMemoryBackend())] })
    await using peer = await SftpPeer.greeted(files)
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    expect(await peer.status(15, '/d/mount')).toBe(3)
    expect(await peer.status(15, '/d')).toBe(3)
    expect(await peer.status(18, '/d/mount', '/other')).toBe(3)
    expect(await peer.status(18, '/d', '/e')).toBe(8)
    expect(await peer.status(14, '/d/mount', u32(0))).toBe(4)
    await put(peer, '/f', 'x')
    expect(await peer.status(18, '/f', '/d/mount')).toBe(3)
  })

  it('refuse two folders at one path', () => {
    const two = [folder('/a', createMemoryBackend()), folder('/a', createMemoryBackend())]
    expect(() => filesOn(createMemoryBackend(), { folders: two })).toThrow('two folders')
  })

  it('keep links inside one place, and their absolute targets right', async () => {
    const files = filesOn(createMemoryBackend(), {
      folders: [folder('/shared', createMemoryBackend())],
      policy: { symbolicLinks: true, hardLinks: true },
    })
    await using peer = await SftpPeer.greeted(files)
    await put(peer, '/own', 'own')
    await put(peer, '/shared/f', 'shared')
    expect(await peer.status(20, '/shared/f', '/link')).toBe(8)
    expect(await peer.status(20, '/own', '/shared/link')).toBe(8)
    expect(await peer.status(200, 'hardlink@openssh.com', '/own', '/shared/own')).toBe(8)
    expect(await peer.status(20, '/shared/f', '/shared/link')).toBe(0)
    expect((await get(peer, '/shared/link')).toString()).toBe('shared')
    expect(namesOf(await peer.request(19, '/shared/link'))[0]?.name).toBe('/shared/f')
  })

  it('have their own quota', async () => {
    const ledger = createMemoryUsageLedger()
    const [own, theirs] = [ledger.user('ada'), ledger.folder('shared')]
    const home = createMemoryBackend()
    const files = filesOn(home, {
      home: homeOn(home, { counter: own, limits: { size: 100, files: 0 } }),
      folders: [folder('/shared', createMemoryBackend(), theirs, 50)],
    })
    await using peer = await SftpPeer.greeted(files)
    await put(peer, '/f', Buffer.alloc(100))
    await put(peer, '/shared/f', Buffer.alloc(50))
    expect([own.size, theirs.size]).toEqual([100, 50])
    expect(await peer.status(3, '/shared/g', u32(2 | 8 | 16), u32(0))).toBe(4)
  })

  it('take a rename from the home with its quota when both lie on this machine, else refuse it', async () => {
    using homeDirectory = temporaryDirectory()
    using sharedDirectory = temporaryDirectory()
    const ledger = createMemoryUsageLedger()
    const [own, theirs] = [ledger.user('ada'), ledger.folder('shared')]
    const home = openLocalBackend({ root: homeDirectory.path })
    const shared = openLocalBackend({ root: sharedDirectory.path })
    const files = filesOn(home, {
      home: homeOn(home, { realRoot: homeDirectory.path, counter: own }),
      folders: [
        folder('/shared', shared, theirs, 0, sharedDirectory.path),
        folder('/elsewhere', createMemoryBackend()),
      ],
    })
    await using peer = await SftpPeer.greeted(files)
    await put(peer, '/f', 'content')
    expect(await peer.status(14, '/d', u32(0))).toBe(0)
    await put(peer, '/d/g', 'below')
    expect(await peer.status(18, '/f', '/elsewhere/f')).toBe(3)
    expect(await peer.status(18, '/f', '/shared/f')).toBe(0)
    expect(await peer.status(18, '/d', '/shared/d')).toBe(0)
    expect(readdirSync(homeDirectory.path)).toEqual([])
    expect(readFileSync(sharedDirectory.file('f'), 'utf8')).toBe('content')
    expect(readFileSync(sharedDirectory.file('d/g'), 'utf8')).toBe('below')
    expect([own.size, own.files, theirs.size, theirs.files]).toEqual([0, 0, 12, 2])
    await home.close()
    await shared.close()
  })
})

describe('one spelling', () => {
  it('S-35 asks permissions for the very path that the storage gets', () => {
    const asked: string[] = []
    const mounts = createMounts(homeOn(createMemoryBackend()), [folder('/mnt', createMemoryBackend())])
    const permissions = createPermissions({ '/': ['*'] })
    const access = createAccess({
      mounts,
      names: createNameRules(),
      permissions: {
        ...permissions,
        allows: (right, directory) => {
          asked.push(directory)
          return permissions.allows(right, directory)
        },
      },
    })
    const piece = fc.oneof(
      fc.constantFrom(
        '..',
        '.',
        '',
        'a',
        'b',
        'mnt',
        'a b',
        '\\',
        '%2e%2e',
        '..\\',
        '\u2024\u2024',
        '\xc0\xae',
        '...',
      ),
      fc.string({ maxLength: 6 }).filter((text) => !text.includes('\0')),
    )
    const raw = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('/'))
    fc.assert(
      fc.property(raw, fc.boolean(), (text, absolute) => {
        const path = virtualPath(absolute ? `/${text}` : text)
        asked.length = 0
        const place = access.toUse(path, 'download')
        const whole = place.mount.at === '/' ? place.inside : virtualPath(place.mount.at + place.inside)
        expect(whole).toBe(path)
        expect(virtualPath(path)).toBe(path)
        expect(path.split('/').some((part) => part === '..' || part === '.')).toBe(false)
        expect(path.includes('//')).toBe(false)
        expect(asked).toEqual([path.slice(0, path.lastIndexOf('/')) || '/'])
      }),
      { numRuns: 20_000, seed: 35 },
    )
  })
})
