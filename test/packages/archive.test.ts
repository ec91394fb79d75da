import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  defaultArchiveLimits,
  packArchive,
  unpackArchive,
  archiveDigest,
} from '../../src/packages/archive.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-archive-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const limits = { ...defaultArchiveLimits, unpackedBytes: 1 << 20, entries: 20 }

describe('packing', () => {
  const files = [
    { path: 'plugin.json', bytes: Buffer.from('{}'), executable: false },
    { path: 'bin/plugin', bytes: Buffer.alloc(70_000, 7), executable: true },
  ]

  it('gives the same bytes twice, whatever the order', async () => {
    const first = await packArchive(join(folder, 'a.tgz'), files)
    const second = await packArchive(join(folder, 'b.tgz'), files.toReversed())
    expect(readFileSync(join(folder, 'a.tgz')).equals(readFileSync(join(folder, 'b.tgz')))).toBe(true)
    expect(first).toBe(second)
    expect(await archiveDigest(join(folder, 'a.tgz'))).toBe(first)
  })

  it('gives back what was packed, read-only, executable where it was', async () => {
    await packArchive(join(folder, 'a.tgz'), files)
    const names = await unpackArchive(join(folder, 'a.tgz'), join(folder, 'out'))
    expect(names).toEqual(['bin/plugin', 'plugin.json'])
    expect(readFileSync(join(folder, 'out/bin/plugin')).equals(Buffer.alloc(70_000, 7))).toBe(true)
    expect(statSync(join(folder, 'out/bin/plugin')).mode & 0o777).toBe(0o500)
    expect(statSync(join(folder, 'out/plugin.json')).mode & 0o777).toBe(0o400)
  })
})

/** What a hostile archive tries, the code of its refusal, and its bytes. */
const hostile: readonly [string, string, () => Buffer][] = [
  ['an absolute name', 'unsafe-path', () => tgz([file('/etc/cron.d/x', 'x')])],
  ['a name that climbs', 'unsafe-path', () => tgz([file('../x', 'x')])],
  ['a name that climbs in the middle', 'unsafe-path', () => tgz([file('a/../../x', 'x')])],
  ['a backslash', 'unsafe-path', () => tgz([file('a\\..\\x', 'x')])],
  ['a drive letter', 'unsafe-path', () => tgz([file('C:/x', 'x')])],
  ['a newline in a name', 'unsafe-path', () => tgz([file('a\nb', 'x')])],
  ['a name of dots', 'unsafe-path', () => tgz([file('a/./b', 'x')])],
  ['an empty component', 'unsafe-path', () => tgz([file('a//b', 'x')])],
  [
    'a long pax name that climbs',
    'unsafe-path',
    () => tgz([pax('path', '../../escape'), file('innocent', 'x')]),
  ],
  ['a deep name', 'unsafe-path', () => tgz([file('a/'.repeat(40) + 'x', 'x')])],
  ['a symbolic link', 'link-inside', () => tgz([entry('link', '2', '', '/etc/passwd')])],
  ['a hard link', 'link-inside', () => tgz([entry('link', '1', '', 'plugin.json')])],
  ['a character device', 'link-inside', () => tgz([entry('dev', '3', '')])],
  ['a block device', 'link-inside', () => tgz([entry('dev', '4', '')])],
  ['a pipe', 'link-inside', () => tgz([entry('fifo', '6', '')])],
  ['a file below a link', 'link-inside', () => tgz([entry('d', '2', '', '/tmp'), file('d/x', 'x')])],
  ['the same name twice', 'unsafe-path', () => tgz([file('a', '1'), file('a', '2')])],
  [
    'two names that differ in case',
    'unsafe-path',
    () => tgz([file('plugin.json', '1'), file('PLUGIN.JSON', '2')]),
  ],
  ['too many entries', 'too-large', () => tgz(Array.from({ length: 21 }, (_, i) => file(`f${i}`, '')))],
  [
    'too many folders',
    'too-large',
    () => tgz(Array.from({ length: 21 }, (_, i) => entry(`d${i}/`, '5', ''))),
  ],
  ['one file of too many bytes', 'too-large', () => tgz([file('big', 'x'.repeat((1 << 20) + 1))])],
  [
    'many files of too many bytes',
    'too-large',
    () => tgz(Array.from({ length: 5 }, (_, i) => file(`f${i}`, 'x'.repeat(300_000)))),
  ],
  ['a size that lies', 'too-large', () => tgz([header('liar', '0', 5e9, '')])],
  ['zeros without end', 'too-large', () => gzipSync(Buffer.concat([file('a', 'x'), Buffer.alloc(32 << 20)]))],
  ['a zip', 'not-an-archive', () => Buffer.from('PK\x03\x04rest of a zip')],
  ['a tar that is not gzipped', 'not-an-archive', () => file('a', 'x')],
  ['half an archive', 'not-an-archive', () => tgz([file('a', 'x'.repeat(100_000))]).subarray(0, 80)],
  ['a broken checksum', 'not-an-archive', () => tgz([file('a', 'x').fill(65, 0, 3)])],
  ['rubbish', 'not-an-archive', () => gzipSync(Buffer.alloc(2048, 120))],
  ['nothing', 'not-an-archive', () => Buffer.alloc(0)],
  ['an empty tar', 'not-an-archive', () => tgz([])],
]

describe('unpacking', () => {
  it.each(hostile)('refuses %s and writes nothing outside', async (_what, code, make) => {
    const archive = join(folder, 'hostile.tgz')
    writeFileSync(archive, make())
    await expect(unpackArchive(archive, join(folder, 'out'), limits)).rejects.toMatchObject({
      name: 'PackageError',
      code,
    })
    expect(readdirSync(folder).filter((name) => name !== 'out' && name !== 'hostile.tgz')).toEqual([])
  })

  it('refuses an archive that is too large before reading it', async () => {
    writeFileSync(join(folder, 'a.tgz'), Buffer.alloc(2000))
    await expect(
      archiveDigest(join(folder, 'a.tgz'), { ...limits, packedBytes: 1999 }),
    ).rejects.toMatchObject({ code: 'too-large' })
    expect(await archiveDigest(join(folder, 'a.tgz'), { ...limits, packedBytes: 2000 })).toHaveLength(64)
  })
})

function tgz(blocks: readonly Buffer[]): Buffer {
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]))
}

function file(path: string, content: string): Buffer {
  return entry(path, '0', content)
}

function entry(path: string, type: string, content: string, link = ''): Buffer {
  const body = Buffer.from(content)
  const padding = Buffer.alloc((512 - (body.length % 512)) % 512)
  return Buffer.concat([header(path, type, body.length, link), body, padding])
}

function pax(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  const length = rest.length + String(rest.length + 2).length
  return entry('PaxHeader', 'x', `${length}${rest}`)
}

/** A ustar header, made by hand so that it can hold what no honest program writes. */
function header(path: string, type: string, size: number, link: string): Buffer {
  const block = Buffer.alloc(512)
  const split = path.length > 99 ? path.lastIndexOf('/', 150) : -1
  block.write(split < 0 ? path : path.slice(split + 1), 0, 100, 'latin1')
  block.write('0000644\0', 100)
  block.write('0000000\0', 108)
  block.write('0000000\0', 116)
  if (size < 8 ** 11) block.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  block.write('00000000000\0', 136)
  block.write(type, 156)
  block.write(link, 157, 100, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  if (split >= 0) block.write(path.slice(0, split), 345, 155, 'latin1')
  block.fill(32, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
