import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { formatArchiveName, type Platform } from '../../src/packages/archive-name.ts'
import { packArchive } from '../../src/packages/archive.ts'

/** A small package as `plugin pack` would make it. */
export interface MadePackage {
  readonly name?: string
  readonly version?: string
  readonly platform?: Platform
  readonly slot?: string
  readonly content?: string
  /** Name of its program; default plugin.cjs. */
  readonly entry?: string
  /** Its schema of settings; absent: it ships none. */
  readonly schema?: object
  /** Over what the manifest says by itself. */
  readonly manifest?: Readonly<Record<string, unknown>>
}

/** Writes the archive into `folder` and returns its path. */
export async function makePackage(folder: string, made: MadePackage = {}): Promise<string> {
  const { name = 'acme-auth', version = '1.0.0', platform = 'any', slot = 'auth', content = 'plugin' } = made
  const entry = made.entry ?? 'plugin.cjs'
  const bytes = { [entry]: Buffer.from(content), ...schemaFile(made.schema) }
  const files = Object.entries(bytes).map(([path, file]) => ({
    path,
    sha256: createHash('sha256').update(file).digest('hex'),
  }))
  const settings = made.schema === undefined ? {} : { settings: 'settings.json' }
  const manifest = { name, version, slot, protocol: 1, entry, files, ...settings }
  const archive = join(folder, formatArchiveName({ name, version, platform }))
  const manifestBytes = Buffer.from(JSON.stringify({ ...manifest, ...made.manifest }))
  await packArchive(archive, [
    { path: 'plugin.json', bytes: manifestBytes, executable: false },
    ...Object.entries(bytes).map(([path, file]) => ({
      ...{ path, bytes: file },
      executable: path === entry,
    })),
  ])
  return archive
}

function schemaFile(schema: object | undefined): Readonly<Record<string, Buffer>> {
  return schema === undefined ? {} : { 'settings.json': Buffer.from(JSON.stringify(schema)) }
}
