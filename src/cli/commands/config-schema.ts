import { rootSchema } from '../../config/setting-schema.ts'
import type { CliCommand } from '../command.ts'
import { printJson } from '../output.ts'

/** Prints the JSON Schema of the configuration, for editors. */
export const configSchema: CliCommand = {
  examples: ['config schema > sftpgo.schema.json'],
  run() {
    printJson(rootSchema)
  },
}
