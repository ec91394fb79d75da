import type { Config } from './load-config.ts'
import { type SettingPath, formatPath, formatPlace } from './problems.ts'
import { schemaAt } from './setting-schema.ts'

/** One setting as it is in force. */
export interface EffectiveSetting {
  readonly path: string
  readonly value: unknown
  /** `FILE:LINE:COLUMN`, `$VARIABLE` or `default`. */
  readonly from: string
}

/** Every setting in force with where it came from; secrets are hidden. */
export function effectiveSettings(config: Config): EffectiveSetting[] {
  return leaves(config.settings, []).map(({ path, value }) => {
    const place = formatPlace(config.placeOf(path))
    return { path: formatPath(path), value: shown(path, value), from: place === '' ? 'default' : place }
  })
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
