import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packPlugin } from '../../src/packages/pack.ts'
import { createPackageStore } from '../../src/packages/store.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-pack-'))
  mkdirSync(join(folder, 'src'))
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
  write('plugin.json', {
    name: 'acme-auth',
    version: '1.2.0',
    slot: 'auth',
    source: 'src/plugin.ts',
    entry: 'acme-auth.mjs',
    settings: 'settings.schema.json',
  })
  write('settings.schema.json', { type: 'object' })
  write(
    'src/plugin.ts',
    "import semver from 'semver'\nconst text: string = await Promise.resolve(`hello ${semver.inc('1.0.0', 'minor')}`)\nconsole.log(text)\n",
  )
  writeFileSync(join(folder, 'package.json'), '{"name":"acme-auth","version":"1.2.0"}')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(path: string, content: object | string): void {
  writeFileSync(join(folder, path), typeof content === 'string' ? content : JSON.stringify(content))
}

const pack = (out: string, node?: string) =>
  packPlugin({ folder, out: join(folder, out), tool: '0.1.0', ...(node === undefined ? {} : { node }) })

describe('packing a JavaScript plugin', () => {
  it('gives one archive for every platform, the same bytes twice, with checksums that sha256sum accepts', async () => {
    const first = await pack('one')
    const second = await pack('two')
    expect(first.archives.map(({ platform }) => platform)).toEqual(['any'])
    expect(second.archives[0]?.sha256).toBe(first.archives[0]?.sha256)
    expect(
      readFileSync(join(folder, 'one/checksums.txt')).equals(readFileSync(join(folder, 'two/checksums.txt'))),
    ).toBe(true)
    expect(spawnSync('sha256sum', ['-c', 'checksums.txt'], { cwd: join(folder, 'one') }).status).toBe(0)
  })

  it('makes a file that starts without a PATH and holds its dependencies', async () => {
    const { bundle } = await pack('out')
    const elsewhere = mkdtempSync(join(tmpdir(), 'sftpgo-ts-bundle-'))
    const copy = join(elsewhere, 'acme-auth.mjs')
    writeFileSync(copy, readFileSync(bundle?.file ?? ''), { mode: 0o755 })
    const ran = spawnSync(copy, [], { env: {}, encoding: 'utf8' })
    expect(ran.stderr).toBe('')
    expect(ran.stdout).toBe('hello 1.1.0\n')
    rmSync(elsewhere, { recursive: true })
  })

  it('takes an absolute node for the first line', async () => {
    const { bundle } = await pack('out', process.execPath)
    expect(readFileSync(bundle?.file ?? '', 'utf8').split('\n')[0]).toBe(`#!${process.execPath}`)
    expect(spawnSync(bundle?.file ?? '', [], { env: {}, encoding: 'utf8' }).stdout).toBe('hello 1.1.0\n')
  })

  it('gives what the store accepts, with a bill of what is inside', async () => {
    const { archives } = await pack('out')
    const stored = await createPackageStore(join(folder, 'store')).add(
      archives[0]?.file ?? '',
      archives[0]?.sha256,
    )
    expect(stored.manifest).toMatchObject({ name: 'acme-auth', version: '1.2.0', slot: 'auth' })
    const bill = JSON.parse(readFileSync(join(stored.folder, 'sbom.cdx.json'), 'utf8'))
    expect(bill.components).toContainEqual(
      expect.objectContaining({ name: 'semver', purl: expect.stringMatching(/^pkg:npm\/semver@/) }),
    )
  })

  it('says what does not compile', async () => {
    write('src/plugin.ts', 'const = 1')
    await expect(pack('out')).rejects.toMatchObject({
      code: 'manifest-invalid',
      message: expect.stringContaining('src/plugin.ts'),
    })
  })
})

describe('packing programs', () => {
  it('gives one archive per platform that the entry names', async () => {
    write('plugin.json', {
      name: 'acme-auth',
      version: '1.2.0',
      slot: 'auth',
      entry: { 'linux-amd64': 'bin/a', 'darwin-arm64': 'bin/b' },
    })
    mkdirSync(join(folder, 'bin'))
    write('bin/a', 'A')
    write('bin/b', 'B')
    const { archives } = await pack('out')
    expect(archives.map(({ platform }) => platform).sort()).toEqual(['darwin-arm64', 'linux-amd64'])
  })

  it('says which file is missing', async () => {
    write('plugin.json', { name: 'acme-auth', version: '1.2.0', slot: 'auth', entry: 'plugin.bin' })
    await expect(pack('out')).rejects.toMatchObject({
      message: expect.stringContaining('"plugin.bin" is not there'),
    })
  })
})
