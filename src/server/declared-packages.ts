import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { PluginSettings } from '../gen/settings.ts'
import { lockedPackage } from '../packages/locked-entry.ts'
import { readLock, type Lock } from '../packages/lock.ts'
import { createPackageStore, type StoredPackage, type PackageStore } from '../packages/store.ts'

/** Where packages of a configuration lie. */
export interface PackagePlaces {
  /** `NAME.lock.json` beside the configuration: the file to commit. */
  readonly lockFile: string
  readonly store: string
  readonly catalogs: string
  readonly downloads: string
  readonly kits: string
}

/** The places that belong to a configuration file and its state folder. */
export function packagePlaces(configFile: string, packages: string): PackagePlaces {
  const name = configFile.replace(/(\.config)?\.jsonc?$/, '')
  return {
    lockFile: `${name}.lock.json`,
    store: join(packages, 'store'),
    catalogs: join(packages, 'catalogs'),
    downloads: join(packages, 'downloads'),
    kits: join(packages, 'kits'),
  }
}

/** What the lock and the store know, to resolve entries that name a package. */
export interface DeclaredPackages {
  /** The stored package of an entry with `source`. Throws a `PackageError` with the command that would help. */
  find(entry: PluginSettings): Promise<StoredPackage>
  /** The schema of the package's settings, or undefined when it ships none. */
  settingsSchema(stored: StoredPackage): Promise<unknown>
  /** Whether the lock names the package that lies in `folder`. */
  isLocked(cmd: string): Promise<boolean>
}

/** Opens the lock and the store of a configuration. Each question reads the lock again. */
export function openDeclaredPackages(places: PackagePlaces): DeclaredPackages {
  const store: PackageStore = createPackageStore(places.store)
  const lock = (): Promise<Lock> => readLock(places.lockFile)
  return {
    async find({ source = '', version, type }) {
      const declared = { source, type, ...(version === undefined ? {} : { version }) }
      return lockedPackage(declared, { lock: await lock(), store })
    },
    async settingsSchema({ manifest, folder }) {
      if (manifest.settings === undefined) return undefined
      return JSON.parse(await readFile(join(folder, manifest.settings), 'utf8'))
    },
    async isLocked(cmd) {
      const digests = Object.values((await lock()).plugins).flatMap(({ platforms }) =>
        Object.values(platforms).map(({ archiveSha256 }) => archiveSha256),
      )
      return dirname(cmd) === places.store && digests.some((digest) => cmd.endsWith(`sha256-${digest}`))
    },
  }
}
