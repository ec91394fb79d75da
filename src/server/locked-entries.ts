import { PackageError } from '../base/errors.ts'
import type { Config } from '../config/load-config.ts'
import type { PluginSettings } from '../gen/settings.ts'
import type { PluginEntry } from '../host/plugin-entry.ts'
import { type Lock, readLock } from '../packages/lock.ts'
import { lockedPackage } from '../packages/locked-entry.ts'
import { type PackageStore, createPackageStore } from '../packages/store.ts'
import { pluginEntries } from './plugin-entries.ts'
import { withSettings } from './plugin-settings.ts'
import { stateLayout } from './state-layout.ts'

/**
 * The plugin entries with what the lock says in the place of `source`. Nothing is fetched here. With `frozen`, an entry
 * whose program the lock does not name is an error. Throws `PackageError` for a required entry that cannot be had.
 */
export async function lockedEntries(
  config: Config,
  options: { readonly frozen: boolean },
): Promise<PluginEntry[]> {
  const entries = await resolvedEntries(config, options)
  return Promise.all(
    entries.map(async (entry) => (entry.enabled === false ? entry : withSettings(entry, config))),
  )
}

/** The same without settings: which program each entry runs. */
export async function resolvedEntries(
  config: Config,
  { frozen }: { readonly frozen: boolean },
): Promise<PluginEntry[]> {
  const { packageLock, packages } = stateLayout(config)
  const { plugins } = config.settings
  const entries = pluginEntries(config)
  if (!frozen && !plugins.some(({ source }) => source !== undefined)) return entries
  const lock = await readLock(packageLock)
  const store = createPackageStore(packages)
  return Promise.all(
    entries.map(async (entry, index) => {
      const plugin = plugins[index]
      if (plugin?.enabled !== true) return entry
      if (plugin.source !== undefined) return fromStore(entry, plugin, lock, store)
      if (frozen && !isLocked(lock, plugin)) throw notLocked(entry.name)
      return entry
    }),
  )
}

async function fromStore(
  entry: PluginEntry,
  { source = '', version, type, required }: PluginSettings,
  lock: Lock,
  store: PackageStore,
): Promise<PluginEntry> {
  try {
    const found = await lockedPackage(
      { source, type, ...(version === undefined ? {} : { version }) },
      { lock, store },
    )
    return { ...entry, cmd: found.folder, sha256sum: found.manifestSha256 }
  } catch (error) {
    if (required || !(error instanceof PackageError)) throw error
    // It stays in the list, where its state says that there is nothing to run.
    return { ...entry, cmd: `${entry.name} (${error.message})` }
  }
}

function isLocked(lock: Lock, { sha256sum }: PluginSettings): boolean {
  const digest = sha256sum?.toLowerCase()
  return Object.values(lock.plugins).some(({ platforms }) =>
    Object.values(platforms).some((archive) => archive.manifestSha256 === digest),
  )
}

function notLocked(name: string): PackageError {
  return new PackageError(
    'not-locked',
    `Cannot start "${name}": the server is frozen and the lock does not name its program`,
  )
}
