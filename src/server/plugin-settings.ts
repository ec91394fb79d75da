import { readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { ConfigError } from '../base/errors.ts'
import type { Config } from '../config/load-config.ts'
import { checkPluginSettings, openPluginSettings, type SecretReference } from '../config/plugin-settings.ts'
import type { PluginEntry } from '../host/plugin-entry.ts'
import { parsePackageManifest } from '../packages/package-manifest.ts'
import { createKeepers } from '../secrets/keepers.ts'
import { masterKeyOf } from './keeper-parts.ts'

/**
 * An entry with its settings as the plugin gets them: held against the schema that the plugin ships, defaults filled in,
 * references to secrets opened. Throws a `ConfigError` with every mistake; the plugin is not run for that.
 */
export async function withSettings(entry: PluginEntry, config: Config): Promise<PluginEntry> {
  const schema = await shippedSchema(entry.cmd)
  if (schema === undefined && entry.settings === undefined) return entry
  const { settings, problems } = checkPluginSettings(schema ?? {}, entry.settings)
  if (problems.length > 0) {
    const list = problems.map(({ path, message }) => `settings.${path.join('.')} ${message}`).join('; ')
    throw new ConfigError('conflict', `Cannot start "${entry.name}": ${list}`)
  }
  return {
    ...entry,
    settings: await openPluginSettings(settings, (reference) => openReference(reference, entry, config)),
  }
}

/** The schema of settings inside a plugin's folder; undefined for a single program, which ships none. */
export async function shippedSchema(folder: string): Promise<unknown> {
  try {
    const manifest = parsePackageManifest(await readFile(join(folder, 'plugin.json'), 'utf8'))
    return manifest.settings === undefined
      ? undefined
      : JSON.parse(await readFile(join(folder, manifest.settings), 'utf8'))
  } catch {
    // Not a folder, or one that the host will refuse with a better reason.
    return undefined
  }
}

/** Secrets of settings are opened before any plugin runs: what seals them is a local key, or the file and variable itself. */
async function openReference(
  reference: SecretReference,
  { name }: PluginEntry,
  { settings, environment, folder }: Config,
): Promise<string> {
  if ('env' in reference) {
    const value = environment[reference.env]
    if (value !== undefined) return value
    throw new ConfigError(
      'missing-key',
      `Cannot start "${name}": its settings want the variable ${reference.env}, which is not set`,
    )
  }
  if ('file' in reference) {
    const path = isAbsolute(reference.file) ? reference.file : join(folder, reference.file)
    try {
      return (await readFile(path, 'utf8')).trimEnd()
    } catch (cause) {
      throw new ConfigError(
        'file-unreadable',
        `Cannot start "${name}": its settings want the file "${path}"`,
        { cause },
      )
    }
  }
  const keepers = createKeepers({ url: '', masterKey: masterKeyOf(settings), cacheTimeMs: 0 })
  return (await keepers.open(reference.secret)).reveal()
}
