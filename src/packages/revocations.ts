import type { CatalogIndex } from './catalog-index.ts'
import type { Lock } from './lock.ts'

/** A locked version that a catalog has withdrawn. */
export interface Revocation {
  readonly name: string
  readonly version: string
  /** The catalog that says so. */
  readonly catalog: string
  readonly reason: string
}

/** The index of a catalog as it was read last. */
export interface KnownIndex {
  readonly catalog: string
  readonly index: CatalogIndex
}

/**
 * What of `lock` is withdrawn, as far as the indexes tell that were read last. Bytes count, not names: a catalog
 * withdraws what it offered itself, wherever it was installed from.
 */
export function revokedInLock(lock: Lock, known: readonly KnownIndex[]): readonly Revocation[] {
  return Object.entries(lock.plugins).flatMap(([name, { version, platforms }]) => {
    const digests = new Set(Object.values(platforms).map(({ archiveSha256 }) => archiveSha256))
    return known.flatMap(({ catalog, index }) => {
      const offered = Object.hasOwn(index.packages, name) ? index.packages[name] : undefined
      const { revoked, archives = {} } = offered?.versions[version] ?? {}
      const same = Object.values(archives).some(({ sha256 }) => digests.has(sha256))
      return revoked === undefined || !same ? [] : [{ name, version, catalog, reason: revoked }]
    })
  })
}

/** A revocation as a sentence. */
export function saidOf({ name, version, catalog, reason }: Revocation): string {
  return `"${name}" ${version} is revoked by the catalog "${catalog}": ${reason}`
}
