import { createPublicKey } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/log.ts'
import { formatPublicKey, readSignedIndex, signIndex } from '../../src/packages/catalog-index.ts'
import { openCatalogSource } from '../../src/packages/catalog-source.ts'
import { openCatalogs } from '../../src/packages/catalogs.ts'
import {
  forget,
  installArchive,
  installFromCatalog,
  installLocked,
  lockStored,
  type Installer,
} from '../../src/packages/install.ts'
import { lockedPackage } from '../../src/packages/locked-entry.ts'
import { loadKit, saveKit } from '../../src/packages/kit.ts'
import { changeLock, readLock, withLocked } from '../../src/packages/lock.ts'
import {
  createCatalogKey,
  publish,
  readCatalogKey,
  revoke,
  type Publisher,
} from '../../src/packages/publish.ts'
import { createPackageStore } from '../../src/packages/store.ts'
import { makePackage, type MadePackage } from './make-package.ts'

let folder: string
let now: number
let installer: Installer
const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => {} }

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-install-'))
  now = Date.parse('2026-06-01T00:00:00Z')
  installer = {
    store: createPackageStore(join(folder, 'store')),
    catalogs: openCatalogs({ folder: join(folder, 'catalogs'), clock, log: silentLogger }),
    lockFile: join(folder, 'lock.json'),
    downloads: join(folder, 'downloads'),
    serverVersion: '1.5.0',
    platform: 'linux-amd64',
  }
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function publisherTo(
  name: string,
): Promise<Publisher & { readonly url: string; readonly key: string }> {
  const url = join(folder, name)
  mkdirSync(url, { recursive: true })
  const keyFile = join(folder, `${name}.key`)
  const key = await createCatalogKey(keyFile)
  return { url, key, source: openCatalogSource(url), privateKey: await readCatalogKey(keyFile), clock }
}

async function catalogWith(
  name: string,
  packages: readonly MadePackage[],
): Promise<Publisher & { readonly url: string; readonly key: string }> {
  const publisher = await publisherTo(name)
  const made = mkdtempSync(join(folder, 'made-'))
  const archives: string[] = []
  for (const one of packages) archives.push(await makePackage(made, one))
  await publish(archives, publisher)
  await installer.catalogs.add({ name, url: publisher.url, key: publisher.key })
  return publisher
}

/** A minute later. */
function later(): void {
  now += 61_000
}

describe('installing an archive', () => {
  it('stores it under its digest, locks it and gives what a configuration entry needs', async () => {
    const { stored, locked, before } = await installArchive(await makePackage(folder), installer)
    expect(before).toBeUndefined()
    expect(locked).toMatchObject({ version: '1.0.0', slot: 'auth', from: 'file' })
    expect(readdirSync(stored.folder).sort()).toEqual(['plugin.cjs', 'plugin.json'])
    const lock = await readLock(installer.lockFile)
    const found = await lockedPackage(
      { source: 'acme-auth', type: 'auth' },
      { lock, store: installer.store, platform: 'linux-amd64' },
    )
    expect(found).toEqual(stored)
  })

  it.each<[string, MadePackage, string]>([
    ['another platform', { platform: 'darwin-arm64' }, 'no-such-platform'],
    ['a newer server', { manifest: { engines: { 'sftpgo-ts': '>=2' } } }, 'incompatible'],
    ['another protocol', { manifest: { protocol: 2 } }, 'incompatible'],
    ['no slot of ours', { slot: 'eventsearcher' }, 'wrong-slot'],
    ['a name that is not its own', { manifest: { name: 'other' } }, 'manifest-invalid'],
    [
      'a file that its manifest does not list',
      { manifest: { files: [{ path: 'other.cjs', sha256: 'a'.repeat(64) }], entry: 'other.cjs' } },
      'manifest-invalid',
    ],
    ['a manifest that is no text of people', { manifest: { text: 'x'.repeat(2 << 20) } }, 'too-large'],
    [
      'a file with another digest',
      { manifest: { files: [{ path: 'plugin.cjs', sha256: 'a'.repeat(64) }] } },
      'digest-mismatch',
    ],
  ])('refuses one for %s', async (_what, made, code) => {
    const archive = await makePackage(folder, made)
    await expect(installArchive(archive, installer)).rejects.toMatchObject({ code })
    expect((await readLock(installer.lockFile)).plugins).toEqual({})
  })

  it('is taken back by forget', async () => {
    await installArchive(await makePackage(folder), installer)
    await forget('acme-auth', installer)
    const lock = await readLock(installer.lockFile)
    await expect(
      lockedPackage({ source: 'acme-auth', type: 'auth' }, { lock, store: installer.store }),
    ).rejects.toMatchObject({ code: 'not-locked' })
    await expect(forget('acme-auth', installer)).rejects.toMatchObject({ code: 'not-found' })
  })
})

describe('installing from a catalog', () => {
  it('takes the highest version in the range that is no pre-release and not revoked', async () => {
    const versions = ['1.0.0', '1.1.0', '1.2.0', '2.0.0-rc.1'].map((version) => ({ version }))
    const publisher = await catalogWith('corp', versions)
    await revoke('acme-auth', '1.2.0', 'lets everybody in', publisher)
    later()
    expect((await installFromCatalog('acme-auth', installer)).locked.version).toBe('1.1.0')
    expect((await installFromCatalog('acme-auth@1.0.x', installer)).locked.version).toBe('1.0.0')
    expect((await installFromCatalog('corp/acme-auth@2.0.0-rc.1', installer)).locked.version).toBe(
      '2.0.0-rc.1',
    )
    await expect(installFromCatalog('acme-auth@1.2.0', installer)).rejects.toMatchObject({
      code: 'revoked',
      message: expect.stringContaining('lets everybody in'),
    })
    await expect(installFromCatalog('acme-auth@^7', installer)).rejects.toMatchObject({ code: 'not-found' })
  })

  it('honours engine ranges and platforms', async () => {
    await catalogWith('corp', [
      { version: '1.0.0' },
      { version: '1.1.0', manifest: { engines: { 'sftpgo-ts': '>=2' } } },
      { version: '1.2.0', platform: 'darwin-arm64' },
    ])
    expect((await installFromCatalog('acme-auth', installer)).locked.version).toBe('1.0.0')
    await expect(installFromCatalog('acme-auth@1.1.0', installer)).rejects.toMatchObject({
      code: 'incompatible',
    })
    await expect(installFromCatalog('acme-auth@1.2.0', installer)).rejects.toMatchObject({
      code: 'no-such-platform',
    })
  })

  it('records the catalog and the signer in the lock', async () => {
    const { key } = await catalogWith('corp', [{}])
    expect((await installFromCatalog('acme-auth', installer)).locked).toMatchObject({
      from: 'corp',
      signer: key,
    })
  })

  it('refuses a name that two catalogs offer until one is named', async () => {
    await catalogWith('corp', [{}])
    await catalogWith('community', [{ content: 'another program' }])
    await expect(installFromCatalog('acme-auth', installer)).rejects.toMatchObject({ code: 'ambiguous' })
    expect((await installFromCatalog('community/acme-auth', installer)).locked.from).toBe('community')
  })

  it('refuses an archive that is not the indexed one', async () => {
    const { url } = await catalogWith('corp', [{}])
    writeFileSync(
      join(url, 'acme-auth-1.0.0-any.tgz'),
      readFileSync(await makePackage(folder, { content: 'evil' })),
    )
    await expect(installFromCatalog('acme-auth', installer)).rejects.toMatchObject({
      code: 'digest-mismatch',
    })
  })

  it('refuses an index that another key signed, and one that goes back', async () => {
    const publisher = await catalogWith('corp', [{}])
    const old = [
      readFileSync(join(publisher.url, 'index.json')),
      readFileSync(join(publisher.url, 'index.json.sig')),
    ] as const
    await revoke('acme-auth', '1.0.0', 'bad', publisher)
    later()
    await expect(installFromCatalog('acme-auth', installer)).rejects.toMatchObject({ code: 'revoked' })
    writeFileSync(join(publisher.url, 'index.json'), old[0])
    writeFileSync(join(publisher.url, 'index.json.sig'), old[1])
    later()
    const { absent } = await installer.catalogs.offers()
    expect(absent).toEqual([
      { name: 'corp', code: 'stale-index', reason: expect.stringContaining('went back') },
    ])
    await expect(installFromCatalog('acme-auth', installer)).rejects.toMatchObject({ code: 'stale-index' })
    const stranger = await publisherTo('stranger')
    const signed = signIndex(
      readSignedIndex({ bytes: old[0], signature: old[1].toString() }, createPublicKey(publisher.privateKey)),
      stranger.privateKey,
    )
    writeFileSync(join(publisher.url, 'index.json.sig'), signed.signature)
    expect((await installer.catalogs.offers()).absent).toEqual([
      { name: 'corp', code: 'bad-signature', reason: expect.stringContaining('not signed') },
    ])
    await expect(installFromCatalog('acme-auth', installer)).rejects.toMatchObject({ code: 'bad-signature' })
  })

  it('goes on with the cached index while the catalog is away, until it expires', async () => {
    const { url } = await catalogWith('corp', [{}])
    await installFromCatalog('acme-auth', installer)
    rmSync(url, { recursive: true })
    later()
    expect((await installFromCatalog('acme-auth', installer)).locked.version).toBe('1.0.0')
    now += 40 * 24 * 3600 * 1000
    await expect(installFromCatalog('acme-auth', installer)).rejects.toMatchObject({ code: 'unreachable' })
  })

  it('skips a catalog that cannot be reached as long as another has the name', async () => {
    const { url } = await catalogWith('gone', [{ name: 'other' }])
    await catalogWith('corp', [{}])
    rmSync(url, { recursive: true })
    rmSync(join(folder, 'catalogs/gone.index.json'))
    expect((await installFromCatalog('acme-auth', installer)).locked.from).toBe('corp')
    await expect(installFromCatalog('other', installer)).rejects.toMatchObject({ code: 'unreachable' })
  })
})

describe('installing what is locked', () => {
  it('fetches the locked bytes again, though there is a newer version', async () => {
    const publisher = await catalogWith('corp', [{}])
    const { stored, locked } = await installFromCatalog('acme-auth', installer)
    const archive = await makePackage(mkdtempSync(join(folder, 'newer-')), { version: '1.1.0' })
    await publish([archive], publisher)
    await installer.store.remove(stored.archiveSha256)
    expect((await installLocked('acme-auth', installer)).stored).toEqual(stored)
    expect((await readLock(installer.lockFile)).plugins['acme-auth']).toEqual(locked)
    expect((await installFromCatalog('acme-auth', installer)).locked.version).toBe('1.1.0')
  })

  it('refuses one that was revoked since, and other bytes than the locked ones', async () => {
    const publisher = await catalogWith('corp', [{}, { version: '1.1.0' }])
    const { stored, locked } = await installFromCatalog('acme-auth@1.0.0', installer)
    await installer.store.remove(stored.archiveSha256)
    const other = { archiveSha256: 'a'.repeat(64), manifestSha256: 'b'.repeat(64) }
    await changeLock(installer.lockFile, (lock) =>
      withLocked(lock, 'acme-auth', { ...locked, platforms: { any: other } }),
    )
    await expect(installLocked('acme-auth', installer)).rejects.toMatchObject({ code: 'digest-mismatch' })
    await revoke('acme-auth', '1.0.0', 'lets everybody in', publisher)
    await expect(installLocked('acme-auth', installer)).rejects.toMatchObject({ code: 'revoked' })
  })

  it('says which archive is wanted where it came from a file', async () => {
    const { stored } = await installArchive(await makePackage(folder), installer)
    expect((await installLocked('acme-auth', installer)).stored).toEqual(stored)
    await installer.store.remove(stored.archiveSha256)
    await expect(installLocked('acme-auth', installer)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining(stored.archiveSha256),
    })
  })

  it('holds on every platform that the index names', async () => {
    await catalogWith('corp', [{ platform: 'linux-amd64' }, { platform: 'darwin-arm64', content: 'for mac' }])
    await installFromCatalog('acme-auth', installer)
    const elsewhere: Installer = {
      ...installer,
      platform: 'darwin-arm64',
      store: createPackageStore(join(folder, 'store-of-another-machine')),
    }
    const before = readFileSync(installer.lockFile, 'utf8')
    const { stored } = await installLocked('acme-auth', elsewhere)
    expect(readFileSync(join(stored.folder, 'plugin.cjs'), 'utf8')).toBe('for mac')
    expect(readFileSync(installer.lockFile, 'utf8')).toBe(before)
  })

  it('takes an older version that is stored again with the origin that it had', async () => {
    const { key } = await catalogWith('corp', [{}])
    const { stored } = await installFromCatalog('acme-auth', installer)
    await installArchive(await makePackage(folder, { version: '1.1.0' }), installer)
    expect((await readLock(installer.lockFile)).plugins['acme-auth']?.from).toBe('file')
    expect((await lockStored(stored, installer)).locked).toMatchObject({
      ...{ version: '1.0.0', from: 'corp', signer: key },
    })
  })
})

describe('publishing', () => {
  it('never changes a version that is there', async () => {
    const publisher = await catalogWith('corp', [{}])
    await expect(publish([await makePackage(folder, { content: 'other' })], publisher)).rejects.toMatchObject(
      { code: 'version-exists' },
    )
    await publish([await makePackage(mkdtempSync(join(folder, 'same-')))], publisher)
  })

  it('keeps its key to its owner', async () => {
    const file = join(folder, 'k')
    const key = await createCatalogKey(file)
    expect(key).toBe(formatPublicKey(createPublicKey(await readCatalogKey(file))))
    writeFileSync(join(folder, 'open'), readFileSync(file), { mode: 0o644 })
    await expect(readCatalogKey(join(folder, 'open'))).rejects.toMatchObject({ code: 'bad-signature' })
  })
})

describe('a locked package', () => {
  it('is refused outside the declared range, slot and catalog, and when its bytes are gone', async () => {
    await catalogWith('corp', [{}])
    const { stored } = await installFromCatalog('acme-auth', installer)
    const lock = await readLock(installer.lockFile)
    const ask = (declared: { source: string; version?: string; type: string }) =>
      lockedPackage(declared, { lock, store: installer.store, platform: 'linux-amd64' })
    await expect(ask({ source: 'acme-auth', version: '^1', type: 'auth' })).resolves.toEqual(stored)
    await expect(ask({ source: 'acme-auth', version: '^2', type: 'auth' })).rejects.toMatchObject({
      code: 'not-locked',
      message: expect.stringContaining('plugin install acme-auth@^2'),
    })
    await expect(ask({ source: 'acme-auth', type: 'kms' })).rejects.toMatchObject({ code: 'wrong-slot' })
    await expect(ask({ source: 'else/acme-auth', type: 'auth' })).rejects.toMatchObject({
      code: 'not-locked',
    })
    await installer.store.remove(stored.archiveSha256)
    await expect(ask({ source: 'acme-auth', type: 'auth' })).rejects.toMatchObject({ code: 'not-found' })
  })
})

describe('an offline kit', () => {
  it('carries a whole catalog in one file', async () => {
    const { url, key } = await catalogWith('corp', [{}, { version: '1.1.0' }])
    await saveKit({ name: 'corp', url, key }, join(folder, 'kit.tgz'))
    rmSync(url, { recursive: true })
    await installer.catalogs.remove('corp')
    await loadKit(join(folder, 'kit.tgz'), {
      name: 'kit',
      folder: join(folder, 'kits'),
      key,
      catalogs: installer.catalogs,
    })
    expect((await installFromCatalog('acme-auth', installer)).locked).toMatchObject({
      version: '1.1.0',
      from: 'kit',
      signer: key,
    })
  })

  it('is refused when another key than the expected one signed it', async () => {
    const { url, key } = await catalogWith('corp', [{}])
    await saveKit({ name: 'corp', url, key }, join(folder, 'kit.tgz'))
    const other = await publisherTo('other')
    const load = loadKit(join(folder, 'kit.tgz'), {
      name: 'kit',
      folder: join(folder, 'kits'),
      key: other.key,
      catalogs: installer.catalogs,
    })
    await expect(load).rejects.toMatchObject({ code: 'bad-signature' })
    expect(readdirSync(join(folder, 'kits'))).toEqual([])
  })
})
