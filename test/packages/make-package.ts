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
  /** Over what the manifest says by itself. */
  readonly manifest?: Readonly<Record<string, unknown>>
}

/** Writes the archive into `folder` and returns its path. */
export async function makePackage(folder: string, made: MadePackage = {}): Promise<string> {
  const { name = 'acme-auth', version = '1.0.0', platform = 'any', slot = 'auth', content = 'plugin' } = made
  const entry = Buffer.from(content)
  const files = [{ path: 'plugin.cjs', sha256: createHash('sha256').update(entry).digest('hex') }]
  const manifest = { name, version, slot, protocol: 1, entry: 'plugin.cjs', files, ...made.manifest }
  const archive = join(folder, formatArchiveName({ name, version, platform }))
  await packArchive(archive, [
    { path: 'plugin.json', bytes: Buffer.from(JSON.stringify(manifest)), executable: false },
    { path: 'plugin.cjs', bytes: entry, executable: true },
  ])
  return archive
}
