import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { messageOf } from '../base/errors.ts'
import { replaceConfig, writtenSchema } from '../config/edit-plugins.ts'
import { withPluginSchemas } from '../config/plugin-schemas.ts'
import { rootSchema } from '../config/setting-schema.ts'
import { readLock } from '../packages/lock.ts'
import { print } from './output.ts'
import type { PackageContext } from './package-context.ts'
import { schemaSeenFrom } from './published-schema.ts'

/** What stands in a schema file that we wrote: such a file, and no other, is written anew. */
const ourMark = 'Written by sftpgo-ts, and written anew when plugins are installed, updated or removed.'

/** The JSON Schema of the configuration as text, with the settings of the plugins that are installed. */
export async function editorSchema({
  store,
  lockFile,
}: Pick<PackageContext, 'store' | 'lockFile'>): Promise<string> {
  const { plugins } = await readLock(lockFile)
  const schemas: Record<string, unknown> = {}
  for (const { manifest, folder } of await store.list()) {
    const other = (plugins[manifest.name]?.version ?? manifest.version) !== manifest.version
    if (manifest.settings === undefined || other) continue
    schemas[manifest.name] = JSON.parse(await readFile(join(folder, manifest.settings), 'utf8'))
  }
  const schema = { $comment: ourMark, ...withPluginSchemas(rootSchema, schemas) }
  return `${JSON.stringify(schema, undefined, 2)}\n`
}

/** Writes a schema file beside a new configuration; what the configuration should say as `$schema`. */
export function writeEditorSchema(configFile: string): string {
  const stem = basename(configFile, extname(configFile)).replace(/\.config$/, '')
  const name = `${stem}.schema.json`
  const file = join(dirname(configFile), name)
  if (existsSync(file) && !isOurs(file)) return schemaSeenFrom(dirname(configFile))
  writeFileSync(file, `${JSON.stringify({ $comment: ourMark, ...rootSchema }, undefined, 2)}\n`)
  return `./${name}`
}

/**
 * Writes the schema file anew that the configuration names, if we wrote it: an editor then completes the settings of what
 * was just installed. A failure is said and changes nothing else.
 */
export async function refreshEditorSchema(
  context: Pick<PackageContext, 'store' | 'lockFile' | 'configFile'>,
  { quiet = false }: { readonly quiet?: boolean } = {},
): Promise<void> {
  try {
    const file = editorSchemaFile(context.configFile)
    if (file === undefined) return
    const text = await editorSchema(context)
    if (readFileSync(file, 'utf8') === text) return
    replaceConfig(file, text)
    if (!quiet) print(`Wrote ${file} anew: editors complete the settings of what is installed`)
  } catch (error) {
    process.stderr.write(`The schema for editors was not written anew: ${messageOf(error)}\n`)
  }
}

/** The schema file of ours that a configuration names. */
function editorSchemaFile(configFile: string): string | undefined {
  if (!existsSync(configFile)) return undefined
  const named = writtenSchema(configFile, readFileSync(configFile, 'utf8'))
  if (named === undefined || /^[a-z][a-z0-9+.-]*:/i.test(named)) return undefined
  const file = resolve(dirname(configFile), named)
  return isOurs(file) ? file : undefined
}

/** Much larger than any schema of ours. */
const mostBytes = 16 * 2 ** 20

function isOurs(file: string): boolean {
  const status = lstatSync(file, { throwIfNoEntry: false })
  if (status?.isFile() !== true || status.size > mostBytes) return false
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return typeof value === 'object' && value !== null && '$comment' in value && value.$comment === ourMark
  } catch {
    return false
  }
}
