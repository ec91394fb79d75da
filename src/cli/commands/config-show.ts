import { effectiveSettings } from '../../config/effective-settings.ts'
import { shippedSchemaOf } from '../../server/shipped-schemas.ts'
import { type CliCommand, flag } from '../command.ts'
import { printJson, printTable } from '../output.ts'
import { readConfig } from '../read-config.ts'

/** Prints every setting in force, secrets hidden, with where its value came from. */
export const configShow: CliCommand = {
  options: [
    ['--json', 'print as JSON'],
    ['--changed', 'only what is not a default'],
  ],
  examples: ['config show', 'config show --changed', 'config show --json'],
  run(input) {
    const config = readConfig(input.configFile)
    const all = effectiveSettings(config, shippedSchemaOf)
    const list = flag(input, 'changed') ? all.filter(({ from }) => !from.startsWith('default')) : all
    if (flag(input, 'json')) printJson({ file: config.file, stateFolder: config.stateFolder, settings: list })
    else printTable(list.map(({ path, value, from }) => [path, JSON.stringify(value), from]))
  },
}
