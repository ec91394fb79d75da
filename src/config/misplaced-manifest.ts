import type { SchemaProblem } from './schema-check.ts'

/** The mistake of a plugin's plugin.json where a configuration belongs; undefined for anything else. */
export function misplacedManifest(value: unknown): SchemaProblem | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { name, slot, entry, plugins, sftpd }: Readonly<Record<string, unknown>> = { ...value }
  if (typeof name !== 'string' || typeof slot !== 'string' || entry === undefined) return undefined
  if (plugins !== undefined || sftpd !== undefined) return undefined
  const message =
    `is the plugin.json of the plugin "${name}" and no configuration: it belongs into the plugin's folder. ` +
    'The configuration, sftpgo.config.json, lists plugins under "plugins"; "sftpgo-ts init" writes one, "sftpgo-ts plugin enable" adds an entry'
  return { code: 'conflict', path: [], message, atKey: false }
}
