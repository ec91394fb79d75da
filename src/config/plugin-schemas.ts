/** The schema of the configuration in which an entry with `source` has the settings that this package's schema says. */
export function withPluginSchemas(root: object, schemas: Readonly<Record<string, unknown>>): object {
  const names = Object.keys(schemas)
  if (names.length === 0) return root
  const schema = structuredClone(root) as { properties: { plugins: { items: Record<string, unknown> } } } // our own schema
  schema.properties.plugins.items['allOf'] = names.map((name) => ({
    if: {
      properties: { source: { type: 'string', pattern: `^(?:[a-z0-9-]+/)?${name}$` } },
      required: ['source'],
    },
    // oxlint-disable-next-line no-thenable -- a word of JSON Schema
    then: { properties: { settings: settingsOf(schemas[name]) } },
  }))
  return schema
}

/** Where a secret belongs, the file holds a reference to it. */
function settingsOf(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return {}
  const { $schema: _dialect, ...own }: Readonly<Record<string, unknown>> = { ...schema }
  if (own['x-secret'] === true || own['writeOnly'] === true)
    return {
      ...(typeof own['description'] === 'string' && { description: own['description'] }),
      ...reference,
    }
  const properties = own['properties']
  if (typeof properties !== 'object' || properties === null) return own
  const inside = Object.entries(properties).map(([key, child]) => [key, settingsOf(child)] as const)
  return { ...own, properties: Object.fromEntries(inside) }
}

const reference = {
  type: 'object',
  minProperties: 1,
  maxProperties: 1,
  additionalProperties: false,
  properties: { env: { type: 'string' }, file: { type: 'string' }, secret: { type: 'object' } },
}
