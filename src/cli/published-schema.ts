import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The published schema as an editor finds it from `folder`: relative where that is near, else absolute. */
export function schemaSeenFrom(folder: string): string {
  const schema = fileURLToPath(new URL('../../docs/sftpgo.schema.json', import.meta.url))
  const near = relative(folder, schema)
  return near.startsWith('../..') ? schema : near.startsWith('.') ? near : `./${near}`
}
