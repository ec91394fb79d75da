import { createHash } from 'node:crypto'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import { PackageError } from '../base/errors.ts'
import { defaultArchiveLimits, packArchive, unpackArchive, type PackedFile } from './archive.ts'
import { largestIndexBytes, parsePublicKey, readSignedIndex } from './catalog-index.ts'
import { openCatalogSource } from './catalog-source.ts'
import type { CatalogEntry, Catalogs } from './catalogs.ts'

/** What a kit may hold: a whole small catalog. */
const kitLimits = { packedBytes: 1 << 30, unpackedBytes: 2 ** 31, entries: 10_000 }

/** Writes a catalog into one file: its signed index, its key and every archive that the index names. Returns the digest. */
export async function saveKit(entry: CatalogEntry, file: string): Promise<string> {
  const source = openCatalogSource(entry.url)
  const index = await needed(source.read('index.json', largestIndexBytes))
  const signature = await needed(source.read('index.json.sig', 1024))
  const { packages } = readSignedIndex(
    { bytes: index, signature: signature.toString().trim() },
    parsePublicKey(entry.key),
  )
  const files: PackedFile[] = [
    plain('index.json', index),
    plain('index.json.sig', signature),
    plain('catalog.pub', Buffer.from(`${entry.key}\n`)),
  ]
  for (const { versions } of Object.values(packages)) {
    for (const { archives } of Object.values(versions)) {
      for (const archive of Object.values(archives)) {
        const bytes = await needed(source.read(archive.file, defaultArchiveLimits.packedBytes))
        const digest = createHash('sha256').update(bytes).digest('hex')
        if (digest !== archive.sha256)
          throw new PackageError(
            'digest-mismatch',
            `"${archive.file}" has the digest ${digest}, its index says ${archive.sha256}`,
          )
        files.push(plain(archive.file, bytes))
      }
    }
  }
  return packArchive(file, files)
}

/** Unpacks a kit into `folder` and adds it as a catalog. The key it brings is trusted only when the caller says so by `key`. */
export async function loadKit(
  file: string,
  {
    name,
    folder,
    key,
    catalogs,
  }: { readonly name: string; readonly folder: string; readonly key?: string; readonly catalogs: Catalogs },
): Promise<CatalogEntry> {
  makeFolders(folder, 0o700)
  const place = join(folder, name)
  await mkdir(place, { mode: 0o700 }).catch((cause: unknown) => {
    throw new PackageError('in-use', `There is a kit "${name}" already`, { cause })
  })
  try {
    await unpackArchive(file, place, kitLimits)
    const brought = (await readFile(join(place, 'catalog.pub'), 'utf8')).trim()
    if (key !== undefined && key !== brought)
      throw new PackageError('bad-signature', `"${basename(file)}" is signed by ${brought}, not by ${key}`)
    const entry = { name, url: place, key: brought }
    await catalogs.add(entry)
    return entry
  } catch (error) {
    await rm(place, { recursive: true, force: true })
    throw error
  }
}

function plain(path: string, bytes: Buffer): PackedFile {
  return { path, bytes, executable: false }
}

async function needed(read: Promise<Buffer | undefined>): Promise<Buffer> {
  const bytes = await read
  if (bytes === undefined)
    throw new PackageError('not-found', 'The catalog lacks a file that its index names')
  return bytes
}
