import type { PluginSettings, Settings } from '../gen/settings.ts'
import { checkPluginSettings } from './plugin-settings.ts'
import type { Problem, SettingPath } from './problems.ts'

/** Finds the schema of settings that a plugin ships, without running it; undefined where it ships none or is not here. */
export type PluginSchemaOf = (plugin: PluginSettings, place: ConfigPlace) => unknown

/** What a relative `source` is looked up by: the configuration file and its state folder. */
export interface ConfigPlace {
  readonly file: string
  readonly stateFolder: string
}

/** A plugin's settings with its schema's defaults, and which values are those defaults. */
export interface FilledSettings {
  readonly settings: Readonly<Record<string, unknown>>
  readonly defaulted: readonly string[]
}

type SettingsProblem = Omit<Problem, 'place'> & { readonly atKey: boolean }

/** Every mistake in the `settings` of enabled plugins. The server refuses to start with them; other commands go on. */
export function checkSettingsOfPlugins(
  { plugins }: Settings,
  place: ConfigPlace,
  schemaOf: PluginSchemaOf,
): SettingsProblem[] {
  return plugins.flatMap((plugin, index) => {
    const schema = plugin.enabled ? schemaOf(plugin, place) : undefined
    if (schema === undefined) return []
    return checkPluginSettings(schema, plugin.settings).problems.map(({ code, path, message }) => ({
      ...{ code, message, onlyAtStart: true, atKey: code === 'unknown-key' },
      path: ['plugins', index, 'settings', ...numbered(plugin.settings, path)],
    }))
  })
}

/** The settings of one plugin as it would get them, references unopened; undefined where it ships no schema. */
export function filledSettings(
  plugin: PluginSettings,
  place: ConfigPlace,
  schemaOf: PluginSchemaOf,
): FilledSettings | undefined {
  const schema = schemaOf(plugin, place)
  return schema === undefined ? undefined : checkPluginSettings(schema, plugin.settings)
}

/** The same path with numbers for the indexes of lists, as places are looked up. */
function numbered(settings: unknown, path: SettingPath): SettingPath {
  let here = settings
  return path.map((part) => {
    const key = Array.isArray(here) ? Number(part) : part
    here =
      typeof here === 'object' && here !== null && Object.hasOwn(here, key)
        ? (here as Record<string | number, unknown>)[key] // an own key, as just checked
        : undefined
    return key
  })
}
