import { systemClock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { silentLogger } from '../base/log.ts'
import type { Config } from '../config/load-config.ts'
import { openCatalogs } from '../packages/catalogs.ts'
import { readLock } from '../packages/lock.ts'
import { type Revocation, revokedInLock } from '../packages/revocations.ts'
import { catalogFolderOf, stateLayout } from './state-layout.ts'

/** What is locked although its catalog has withdrawn it, by the indexes that are here: nothing is fetched. */
export async function revokedPackages(config: Config): Promise<readonly Revocation[]> {
  const { packageLock, packages } = stateLayout(config)
  const lock = await readLock(packageLock)
  if (Object.keys(lock.plugins).length === 0) return []
  const catalogs = openCatalogs({ folder: catalogFolderOf(packages), clock: systemClock, log: silentLogger })
  return revokedInLock(lock, await catalogs.known())
}

/**
 * Says in the log what runs although it is withdrawn. It does run: a restart never changes what runs, and whoever
 * publishes a catalog does not decide when this server stops.
 */
export async function warnOfRevoked(config: Config, log: Logger): Promise<void> {
  try {
    for (const { name, version, catalog, reason } of await revokedPackages(config))
      log.warn('plugin version revoked', { package: name, version, catalog, reason })
  } catch (error) {
    // What is wrong with the lock is said by who starts from it.
    log.warn('revocations not read', { error })
  }
}

/** The entries, by their names, whose package is withdrawn. */
export async function revokedEntries(config: Config): Promise<ReadonlyMap<string, Revocation>> {
  const revoked = await revokedPackages(config)
  return new Map(
    config.settings.plugins.flatMap(({ name, source }) => {
      const found = revoked.find((one) => one.name === source?.split('/').at(-1))
      return found === undefined ? [] : [[name ?? '', found] as const]
    }),
  )
}
