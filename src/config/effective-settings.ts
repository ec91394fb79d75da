import type { Config } from './load-config.ts'
import { isReference } from './plugin-settings.ts'
import { type FilledSettings, type PluginSchemaOf, filledSettings } from './plugin-settings-rules.ts'
import { type SettingPath, formatPath, formatPlace } from './problems.ts'
import { schemaAt } from './setting-schema.ts'

/** One setting as it is in force. */
export interface EffectiveSetting {
  readonly path: string
  readonly value: unknown
  /** `FILE:LINE:COLUMN`, `$VARIABLE`, `default`, or `default of the plugin` for what its schema filled in. */
  readonly from: string
}

/** Every setting in force with where it came from; secrets are hidden. */
export function effectiveSettings(
  config: Config,
  pluginSchemaOf: PluginSchemaOf = () => undefined,
): EffectiveSetting[] {
  return config.settings.plugins.reduce(
    (list, plugin, index) => {
      const filled = filledSettings(plugin, config, pluginSchemaOf)
      if (filled === undefined) return list
      const own = `plugins[${index}].settings`
      const others = list.filter(({ path }) => path !== own)
      return [...others, ...settingsOfPlugin(config, filled, ['plugins', index, 'settings'])]
    },
    leaves(config.settings, []).map(({ path, value }) => said(config, path, shown(path, value))),
  )
}

function settingsOfPlugin(config: Config, filled: FilledSettings, at: SettingPath): EffectiveSetting[] {
  return ownLeaves(filled.settings, []).map(({ path, value }) => {
    const whole = [...at, ...path]
    const visible = hidden({ [path.at(-1) ?? '']: value })
    const setting = said(config, whole, Object.values(visible as object)[0]) // an object goes in and comes out
    return filled.defaulted.includes(path.join('.')) ? { ...setting, from: 'default of the plugin' } : setting
  })
}

function ownLeaves(value: unknown, path: readonly string[]): { path: readonly string[]; value: unknown }[] {
  const isSection = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isSection || isReference(value)) return [{ path, value }]
  return Object.entries(value).flatMap(([key, child]) => ownLeaves(child, [...path, key]))
}

function said(config: Config, path: SettingPath, value: unknown): EffectiveSetting {
  const place = formatPlace(config.placeOf(path))
  return { path: formatPath(path), value, from: place === '' ? 'default' : place }
}

function leaves(value: unknown, path: SettingPath): { path: SettingPath; value: unknown }[] {
  if (typeof value !== 'object' || value === null) return [{ path, value }]
  const schema = schemaAt(path)
  const isLeaf =
    schema === undefined || (schema.properties === undefined && schema.items?.properties === undefined)
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item: unknown, index) => [index, item])
    : Object.entries(value)
  if (isLeaf || entries.length === 0) return [{ path, value }]
  return entries.flatMap(([key, child]) => leaves(child, [...path, key]))
}

function shown(path: SettingPath, value: unknown): unknown {
  if (schemaAt(path)?.['x-secret'] === true) {
    if (Array.isArray(value)) return value.map(() => '(hidden)')
    return value === '' ? '' : '(hidden)'
  }
  return path.includes('settings') ? hidden(value) : value
}

/** A plugin's own settings: what looks like a secret and is not a reference is hidden. */
function hidden(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hidden)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, child]: [string, unknown]) => {
      const secret = /pass|secret|token|key|credential/i.test(key) && typeof child === 'string'
      return [key, secret ? '(hidden)' : hidden(child)]
    }),
  )
}
