import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { rootSchema } from '../../config/setting-schema.ts'
import { withPluginSchemas } from '../../config/plugin-schemas.ts'
import { readLock } from '../../packages/lock.ts'
import type { CliCommand } from '../command.ts'
import { printJson } from '../output.ts'
import { packageContext } from '../package-context.ts'

/** Prints the JSON Schema of the configuration, for editors: with the settings of the plugins that are installed. */
export const configSchema: CliCommand = {
  examples: ['config schema > sftpgo.schema.json'],
  async run(input) {
    const { store, lockFile } = packageContext(input)
    const { plugins } = await readLock(lockFile)
    const schemas: Record<string, unknown> = {}
    for (const { manifest, folder } of await store.list()) {
      const other = (plugins[manifest.name]?.version ?? manifest.version) !== manifest.version
      if (manifest.settings === undefined || other) continue
      schemas[manifest.name] = JSON.parse(await readFile(join(folder, manifest.settings), 'utf8'))
    }
    printJson(withPluginSchemas(rootSchema, schemas))
  },
}
