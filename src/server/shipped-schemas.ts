import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PluginSchemaOf } from '../config/plugin-settings-rules.ts'
import { currentPlatform } from '../packages/archive-name.ts'
import { parseLock } from '../packages/lock.ts'
import { parsePackageManifest } from '../packages/package-manifest.ts'
import { packageFolder } from '../packages/store.ts'
import { packagePlacesOf } from './state-layout.ts'

/** Finds the schema that a plugin's folder or installed package ships, for who checks a configuration. */
export const shippedSchemaOf: PluginSchemaOf = ({ cmd, source }, { file, stateFolder }) => {
  try {
    const folder = source === undefined ? cmd : installedFolder(source, packagePlacesOf(file, stateFolder))
    return folder === undefined ? undefined : shippedSchema(folder)
  } catch {
    // Not installed, not a folder, or one that the start refuses with a better reason.
    return undefined
  }
}

/** The schema of settings inside a plugin's folder; undefined where its manifest names none. Throws where there is no manifest. */
function shippedSchema(folder: string): unknown {
  const { settings } = parsePackageManifest(readFileSync(join(folder, 'plugin.json'), 'utf8'))
  return settings === undefined ? undefined : JSON.parse(readFileSync(join(folder, settings), 'utf8'))
}

function installedFolder(
  source: string,
  { packages, packageLock }: ReturnType<typeof packagePlacesOf>,
): string | undefined {
  const lock = parseLock(packageLock, readFileSync(packageLock, 'utf8'))
  const platforms = lock.plugins[source.slice(source.indexOf('/') + 1)]?.platforms
  const platform = currentPlatform()
  const archive = (platform === undefined ? undefined : platforms?.[platform]) ?? platforms?.any
  return archive === undefined ? undefined : packageFolder(packages, archive.archiveSha256)
}
