import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip, type Gunzip } from 'node:zlib'
import { makeFolders } from '../base/make-folders.ts'
import { Header, Parser, type ReadEntry } from 'tar'
import { PackageError } from '../base/errors.ts'

/** How much an archive may hold. */
export interface ArchiveLimits {
  readonly packedBytes: number
  readonly unpackedBytes: number
  readonly entries: number
}

/** What is taken unless the configuration says otherwise. */
export const defaultArchiveLimits: ArchiveLimits = {
  packedBytes: 64 << 20,
  unpackedBytes: 512 << 20,
  entries: 2000,
}

/** One file of a package. */
export interface PackedFile {
  /** Relative, with forward slashes. */
  readonly path: string
  readonly bytes: Buffer
  readonly executable: boolean
}

/** The SHA-256 of a file, as 64 lower case digits. Throws `too-large` past the limit. */
export async function archiveDigest(
  file: string,
  limits: ArchiveLimits = defaultArchiveLimits,
): Promise<string> {
  const { size } = await stat(file)
  if (size > limits.packedBytes) throw tooLarge(`it has ${size} bytes`, limits.packedBytes)
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

/**
 * Unpacks an archive of untrusted bytes into `folder`, which must be new and private. Only plain files and folders
 * with plain relative names are taken, each name once; nothing is written outside `folder`, and never more than the limits.
 */
export async function unpackArchive(
  file: string,
  folder: string,
  limits: ArchiveLimits = defaultArchiveLimits,
): Promise<readonly string[]> {
  await archiveIsGzip(file)
  const counted = { bytes: 0, entries: 0, seen: new Set<string>() }
  const writes: Promise<void>[] = []
  const entries: ReadEntry[] = []
  const parser = new Parser({ strict: true, maxMetaEntrySize: 64 << 10 })
  let failure: unknown
  const fail = (error: unknown): void => {
    failure ??= error
    parser.abort(failure instanceof Error ? failure : new Error(String(failure)))
  }
  parser.on('entry', (entry: ReadEntry) => {
    entries.push(entry)
    // Who reads an entry hears its end; for the others an error is no news.
    entry.on('error', () => {})
    try {
      writes.push(take(entry, { folder, limits, counted, fail }))
    } catch (error) {
      entry.resume()
      fail(error)
    }
  })
  const unzip = createGunzip()
  boundOutput(unzip, limits.unpackedBytes + limits.entries * 1024, fail)
  try {
    await pipeline(createReadStream(file), unzip, parser as unknown as NodeJS.WritableStream) // minipass's writable side
    await Promise.all(writes)
  } catch (error) {
    // An entry that was cut never ends by itself.
    const cut = notAnArchive(error)
    for (const entry of entries) entry.destroy(cut)
    await Promise.allSettled(writes)
    throw failure ?? cut
  }
  if (failure !== undefined) throw failure
  if (counted.seen.size === 0) throw notAnArchive(new Error('it is empty'))
  return [...counted.seen].sort()
}

/**
 * Writes an archive whose bytes depend on the files alone: sorted names, no owners, no times. Returns its SHA-256.
 */
export async function packArchive(file: string, files: readonly PackedFile[]): Promise<string> {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1))
  const hash = createHash('sha256')
  const gzip = createGzip({ level: 9 })
  gzip.on('data', (chunk: Buffer) => hash.update(chunk))
  await pipeline(Readable.from(tarBlocks(sorted)), gzip, createWriteStream(file, { mode: 0o644 }))
  return hash.digest('hex')
}

interface TakeOptions {
  readonly folder: string
  readonly limits: ArchiveLimits
  readonly counted: { bytes: number; entries: number; readonly seen: Set<string> }
  readonly fail: (error: unknown) => void
}

function take(entry: ReadEntry, { folder, limits, counted, fail }: TakeOptions): Promise<void> {
  const path = checkedPath(entry.path)
  counted.entries += 1
  if (counted.entries > limits.entries) throw tooLarge('it has too many entries', limits.entries)
  if (entry.type === 'Directory') {
    entry.resume()
    makeFolders(join(folder, path), 0o700)
    return Promise.resolve()
  }
  if (entry.type !== 'File' && entry.type !== 'OldFile') {
    throw new PackageError(
      'link-inside',
      `Cannot unpack "${path}": a ${entry.type} has no place in a package`,
    )
  }
  // Names that differ in case alone are one file on some disks: what was checked must be what lies there.
  const key = path.toLowerCase()
  if (counted.seen.has(key))
    throw new PackageError('unsafe-path', `Cannot unpack "${path}": the name is there twice`)
  counted.seen.add(key)
  counted.bytes += entry.size
  if (counted.bytes > limits.unpackedBytes) throw tooLarge('it unpacks to too much', limits.unpackedBytes)
  const executable = ((entry.mode ?? 0) & 0o111) !== 0
  return write(entry, join(folder, path), executable).catch(fail)
}

async function write(entry: ReadEntry, target: string, executable: boolean): Promise<void> {
  makeFolders(dirname(target), 0o700)
  const file = await open(target, 'wx', executable ? 0o500 : 0o400)
  try {
    for await (const chunk of entry) await file.write(chunk)
  } finally {
    await file.close()
  }
}

/** Relative, plain, and short: what any disk takes and no shell or path joining can turn into something else. */
function checkedPath(raw: string): string {
  const path = raw.replace(/^\.\//, '').replace(/\/+$/, '')
  const parts = path.split('/')
  const plain = /^[A-Za-z0-9@_+=,.-]+$/
  const safe =
    path.length <= 255 &&
    parts.length <= 16 &&
    parts.every((part) => plain.test(part) && part !== '..' && part !== '.')
  if (!safe)
    throw new PackageError('unsafe-path', `Cannot unpack the name ${JSON.stringify(raw.slice(0, 200))}`)
  return path
}

async function archiveIsGzip(file: string): Promise<void> {
  const handle = await open(file)
  try {
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0)
    if (buffer[0] === 0x1f && buffer[1] === 0x8b) return
    if (buffer.toString('latin1').startsWith('PK')) {
      throw new PackageError(
        'not-an-archive',
        `"${file}" is a zip: a package is a gzipped tar named NAME-VERSION-OS-ARCH.tgz`,
      )
    }
    throw notAnArchive(new Error('it is not gzipped'))
  } finally {
    await handle.close()
  }
}

/** A few kilobytes can unzip to gigabytes: past the bound nothing more is unzipped. */
function boundOutput(unzip: Gunzip, bytes: number, fail: (error: unknown) => void): void {
  let total = 0
  unzip.on('data', (chunk: Buffer) => {
    total += chunk.length
    if (total <= bytes) return
    const error = tooLarge('it unpacks to too much', bytes)
    fail(error)
    unzip.destroy(error)
  })
}

function* tarBlocks(files: readonly PackedFile[]): Generator<Buffer> {
  for (const { path, bytes, executable } of files) {
    const block = Buffer.alloc(512)
    const header = new Header({
      path,
      size: bytes.length,
      mode: executable ? 0o755 : 0o644,
      type: 'File',
      mtime: new Date(0),
    })
    if (header.encode(block))
      throw new PackageError('unsafe-path', `Cannot pack "${path}": the name is too long`)
    yield block
    yield bytes
    const rest = bytes.length % 512
    if (rest > 0) yield Buffer.alloc(512 - rest)
  }
  yield Buffer.alloc(1024)
}

function tooLarge(what: string, most: number): PackageError {
  return new PackageError('too-large', `Cannot take the archive: ${what}, at most ${most} are allowed`)
}

function notAnArchive(cause: unknown): PackageError {
  return new PackageError('not-an-archive', 'Cannot read the archive: it is not a whole gzipped tar', {
    cause,
  })
}
