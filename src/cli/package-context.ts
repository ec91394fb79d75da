import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { loadConfig } from '../config/load-config.ts'
import type { Settings } from '../gen/settings.ts'
import { bytesOf } from '../config/units.ts'
import { defaultArchiveLimits, type ArchiveLimits } from '../packages/archive.ts'
import { openCatalogs } from '../packages/catalogs.ts'
import type { Installer } from '../packages/install.ts'
import { createPackageStore } from '../packages/store.ts'
import { catalogFolderOf, packagePlacesOf } from '../server/state-layout.ts'
import { programVersion } from '../server/version.ts'
import type { CommandInput } from './command.ts'

/** What the package commands work with: the places of one configuration, and everything that lies there. */
export interface PackageContext extends Installer {
  readonly configFile: string
  /** Where catalogs that came in one file are kept. */
  readonly kits: string
}

/** Opens the packages of the command's configuration. A mistake in the file does not keep people from installing. */
export function packageContext({ configFile }: Pick<CommandInput, 'configFile'>): PackageContext {
  const { stateFolder, config } = loadConfig(configFile)
  const limits = config === undefined ? defaultArchiveLimits : limitsIn(config.settings)
  const { packages, packageLock } = packagePlacesOf(configFile, stateFolder)
  return {
    ...{ configFile, lockFile: packageLock, downloads: join(packages, 'downloads') },
    kits: join(packages, 'kits'),
    ...{ store: createPackageStore(packages, limits), limits },
    catalogs: openCatalogs({ folder: catalogFolderOf(packages), clock: systemClock, log: noteOnStderr }),
    serverVersion: programVersion(),
  }
}

function limitsIn({ plugin_host: { package_limits: limits } }: Settings): ArchiveLimits {
  return {
    packedBytes: bytesOf(limits.packed),
    unpackedBytes: bytesOf(limits.unpacked),
    entries: limits.entries,
  }
}

/** Warnings of the package wing as sentences for a person. */
const noteOnStderr: Logger = {
  ...silentLogger,
  warn(message, fields = {}) {
    const details = Object.entries(fields).map(
      ([name, value]) => `${name} ${value instanceof Error ? value.message : String(value)}`,
    )
    process.stderr.write(`${message}: ${details.join(', ')}\n`)
  },
  with: () => noteOnStderr,
}
