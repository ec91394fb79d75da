import type { CliCommand } from '../command.ts'
import { editorSchema } from '../editor-schema.ts'
import { packageContext } from '../package-context.ts'

/** Prints the JSON Schema of the configuration, for editors: with the settings of the plugins that are installed. */
export const configSchema: CliCommand = {
  options: [['--json', 'print as JSON, which it always is']],
  examples: ['config schema > sftpgo.schema.json'],
  async run(input) {
    process.stdout.write(await editorSchema(packageContext(input)))
  },
}
