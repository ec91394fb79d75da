import { readFileSync } from 'node:fs'
import { replaceConfig, setPluginKey, writtenEntries } from '../../config/edit-plugins.ts'
import { findServer } from '../ask-server.ts'
import { type CliCommand, CommandError } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print } from '../output.ts'

/** Switches a configuration entry off: it stays, checked but not started. */
export const pluginDisable: CliCommand = {
  arguments: '<entry>',
  examples: ['plugin disable acme-auth'],
  async run(input) {
    const [name = ''] = input.args
    const text = readFileSync(input.configFile, 'utf8')
    const index = writtenEntries(input.configFile, text).findIndex(
      (entry, at) => (entry['name'] ?? `${String(entry['type'])}-${at}`) === name,
    )
    if (index < 0)
      throw new CommandError(
        exitCodes.notFound,
        `There is no plugin entry "${name}" in "${input.configFile}"`,
      )
    replaceConfig(input.configFile, setPluginKey(input.configFile, text, index, 'enabled', false))
    const client = await findServer(input.configFile)
    if (client !== undefined) await client.ask('reload').finally(() => client.close())
    print(`"${name}" is disabled${client === undefined ? '' : ' and stopped'}`)
  },
}
