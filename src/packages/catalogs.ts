import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import type { Clock } from '../base/clock.ts'
import { messageOf, PackageError, type PackageErrorCode } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { checkPackageName } from './archive-name.ts'
import {
  largestIndexBytes,
  parsePublicKey,
  readSignedIndex,
  type CatalogIndex,
  type CatalogPackage,
} from './catalog-index.ts'
import { openCatalogSource, type CatalogSource } from './catalog-source.ts'
import type { KnownIndex } from './revocations.ts'

/** One catalog that an admin trusts. */
export interface CatalogEntry {
  readonly name: string
  readonly url: string
  /** Its key, `ed25519:...`: whoever holds the other half decides what may be installed from it. */
  readonly key: string
}

/** The catalogs of this server: an ordered, named list, and what each of them offered last. */
export interface Catalogs {
  list(): Promise<readonly CatalogEntry[]>
  /** Adds a catalog at the end after reading its index once. */
  add(entry: CatalogEntry): Promise<CatalogIndex>
  remove(name: string): Promise<void>
  /** What every catalog that can be reached, or was reached before, offers. Those that cannot are named in `absent`. */
  offers(): Promise<Offers>
  /** What every catalog offered when it was asked last; none is asked, and an expired index counts. */
  known(): Promise<readonly KnownIndex[]>
}

/** What is on offer, and where nothing could be learned. */
export interface Offers {
  readonly offers: readonly CatalogOffer[]
  readonly absent: readonly AbsentCatalog[]
}

/** A catalog that could not be asked, or whose answer cannot be believed. */
export interface AbsentCatalog {
  readonly name: string
  readonly reason: string
  readonly code: PackageErrorCode
}

/** One catalog with its index. */
export interface CatalogOffer {
  readonly entry: CatalogEntry
  readonly index: CatalogIndex
  readonly source: CatalogSource
}

/** What the list of catalogs works with. */
export interface CatalogsOptions {
  /** Where the list and the caches lie: in the state folder. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Logger
}

/** Index and signature are two files: whoever reads them while they are published anew looks once more. */
const tornMs = 300

/** Opens the list of catalogs in `folder`; a missing one is empty. */
export function openCatalogs({ folder, clock, log }: CatalogsOptions): Catalogs {
  const listFile = join(folder, 'catalogs.json')
  const list = async (): Promise<readonly CatalogEntry[]> => parseList(listFile, await readIfThere(listFile))
  const save = (entries: readonly CatalogEntry[]): Promise<void> =>
    replaceFile(folder, 'catalogs.json', `${JSON.stringify(entries, null, 2)}\n`)
  return {
    list,
    async add(entry) {
      checkPackageName(entry.name)
      const entries = await list()
      if (entries.some(({ name }) => name === entry.name))
        throw new PackageError('ambiguous', `There is a catalog "${entry.name}" already`)
      const { index } = await refresh(entry)
      await save([...entries, entry])
      return index
    },
    async remove(name) {
      const entries = await list()
      if (!entries.some((entry) => entry.name === name))
        throw new PackageError('not-found', `There is no catalog "${name}"`)
      await save(entries.filter((entry) => entry.name !== name))
      await rm(join(folder, `${name}.index.json`), { force: true })
    },
    async offers() {
      const entries = await list()
      const outcomes = await Promise.all(
        entries.map((entry) => refresh(entry).catch((error: unknown) => ({ entry, error }))),
      )
      const absent = outcomes.flatMap((outcome) =>
        'error' in outcome ? [absentBecause(outcome.entry, outcome.error)] : [],
      )
      for (const one of absent) log.warn('catalog skipped', { ...one })
      return { offers: outcomes.filter((outcome) => 'index' in outcome), absent }
    },
    async known() {
      const entries = await list()
      const indexes = await Promise.all(
        entries.map(async (entry) => {
          const cached = await cachedIndex(entry, parsePublicKey(entry.key))
          return cached === undefined ? [] : [{ catalog: entry.name, index: cached.index }]
        }),
      )
      return indexes.flat()
    },
  }

  /**
   * The newest index: from the catalog whenever it answers, since what was published or revoked a moment ago counts;
   * from the cache while it cannot be reached, until that expires.
   */
  async function refresh(entry: CatalogEntry): Promise<CatalogOffer> {
    const source = openCatalogSource(entry.url)
    const key = parsePublicKey(entry.key)
    const cached = await cachedIndex(entry, key)
    try {
      const { bytes, signature, index } = await readIndex(source, key).catch(async (error: unknown) => {
        if (!(error instanceof PackageError && error.code === 'bad-signature')) throw error
        await new Promise((resolve) => setTimeout(resolve, tornMs))
        return readIndex(source, key)
      })
      checkNewer(entry, index, cached?.index, clock.now())
      await replaceFile(
        folder,
        `${entry.name}.index.json`,
        JSON.stringify({ signature, index: bytes.toString('base64') }),
      )
      return { entry, index, source }
    } catch (error) {
      const unreachable = error instanceof PackageError && error.code === 'unreachable'
      if (!unreachable || cached === undefined || cached.index.expires <= clock.now()) throw error
      log.warn('catalog not reached, its last index is used', { catalog: entry.name })
      return { entry, index: cached.index, source }
    }
  }

  /** The cache is checked like any stranger's file: who can write it must not be able to choose what is installed. */
  async function cachedIndex(entry: CatalogEntry, key: ReturnType<typeof parsePublicKey>) {
    const text = await readIfThere(join(folder, `${entry.name}.index.json`))
    if (text === undefined) return undefined
    try {
      const { signature, index } = JSON.parse(text) as Record<string, unknown> // each is looked at below
      if (typeof signature !== 'string' || typeof index !== 'string') return undefined
      return { index: readSignedIndex({ bytes: Buffer.from(index, 'base64'), signature }, key) }
    } catch (error) {
      log.warn('cached catalog index dropped', { catalog: entry.name, error })
      return undefined
    }
  }
}

/**
 * The one catalog that offers `name`. `corp/acme-auth` names the catalog; a bare name must be in one only. A catalog
 * that cannot be reached is left out. One whose answer cannot be believed is not: whoever stands between could hide a
 * name that way, so that another catalog's would be taken.
 */
export function offerOf(
  wanted: string,
  { offers, absent }: Offers,
): CatalogOffer & { readonly name: string; readonly offer: CatalogPackage } {
  const [catalog, name] = wanted.includes('/')
    ? (wanted.split('/', 2) as [string, string])
    : [undefined, wanted]
  const found = offers.flatMap((one) => {
    const offer = Object.hasOwn(one.index.packages, name) ? one.index.packages[name] : undefined
    return offer === undefined || (catalog !== undefined && one.entry.name !== catalog)
      ? []
      : [{ ...one, name, offer }]
  })
  const asked = absent.filter((one) => catalog === undefined || one.name === catalog)
  const doubtful = asked.find(({ code }) => code !== 'unreachable')
  if (doubtful !== undefined)
    throw new PackageError(
      doubtful.code,
      `Cannot install "${wanted}": the catalog "${doubtful.name}" cannot be believed: ${doubtful.reason}`,
    )
  const [only, other] = found
  if (only === undefined) {
    const code = asked.length > 0 ? 'unreachable' : 'not-found'
    const where =
      asked.length > 0 ? `; not asked: ${asked.map((one) => `${one.name} (${one.reason})`).join(', ')}` : ''
    const none = offers.length + absent.length === 0 ? ': none is trusted yet ("sftpgo-ts catalog add")' : ''
    throw new PackageError(code, `No catalog offers "${wanted}"${where}${none}`)
  }
  if (other !== undefined) {
    const ways = found.map(({ entry }) => `"${entry.name}/${name}"`).join(' or ')
    throw new PackageError('ambiguous', `More than one catalog offers "${name}": say ${ways}`)
  }
  return only
}

async function readIndex(source: CatalogSource, key: ReturnType<typeof parsePublicKey>) {
  const bytes = await needed(source, 'index.json')
  const signature = (await needed(source, 'index.json.sig')).toString('utf8').trim()
  return { bytes, signature, index: readSignedIndex({ bytes, signature }, key) }
}

async function needed(source: CatalogSource, file: string): Promise<Buffer> {
  const bytes = await source.read(file, largestIndexBytes)
  if (bytes === undefined) throw new PackageError('unreachable', `The catalog has no "${file}"`)
  return bytes
}

function checkNewer(
  entry: CatalogEntry,
  index: CatalogIndex,
  known: CatalogIndex | undefined,
  now: number,
): void {
  if (known !== undefined && index.sequence < known.sequence) {
    throw new PackageError(
      'stale-index',
      `The catalog "${entry.name}" went back from index ${known.sequence} to ${index.sequence}`,
    )
  }
  if (index.expires <= now) {
    throw new PackageError(
      'stale-index',
      `The index of the catalog "${entry.name}" expired on ${new Date(index.expires).toISOString()}`,
    )
  }
}

function parseList(file: string, text: string | undefined): readonly CatalogEntry[] {
  if (text === undefined) return []
  const value: unknown = JSON.parse(text)
  const entries = Array.isArray(value) ? value.filter(isEntry) : []
  if (!Array.isArray(value) || entries.length !== value.length)
    throw new PackageError('manifest-invalid', `Cannot read "${file}"`)
  return entries
}

function isEntry(value: unknown): value is CatalogEntry {
  if (typeof value !== 'object' || value === null) return false
  const { name, url, key } = value as Record<string, unknown> // looked at before it is used
  return [name, url, key].every((part) => typeof part === 'string')
}

async function replaceFile(folder: string, name: string, text: string): Promise<void> {
  makeFolders(folder, 0o700)
  await writeFile(join(folder, `${name}.part`), text, { mode: 0o600 })
  await rename(join(folder, `${name}.part`), join(folder, name))
}

async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
}

function absentBecause({ name }: CatalogEntry, error: unknown): AbsentCatalog {
  const code = error instanceof PackageError ? error.code : 'unreachable'
  return { name, code, reason: messageOf(error) }
}
