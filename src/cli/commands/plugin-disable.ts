import { readFileSync } from 'node:fs'
import { replaceConfig, setPluginKey, writtenEntries } from '../../config/edit-plugins.ts'
import { type CliCommand, CommandError } from '../command.ts'
import { printDone } from '../done.ts'
import { exitCodes } from '../exit-codes.ts'
import { reloadServer } from '../reload-server.ts'

/** Switches a configuration entry off: it stays, checked but not started. */
export const pluginDisable: CliCommand = {
  arguments: '<entry>',
  options: [['--json', 'print as JSON']],
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
    const answer = await reloadServer(input.configFile)
    if (answer?.ok === false)
      throw new CommandError(
        exitCodes.invalid,
        `"${name}" is disabled in "${input.configFile}", which the running server did not take:\n${answer.problems.join('\n')}`,
      )
    const stopped = answer !== undefined
    printDone(input, `"${name}" is disabled${stopped ? ' and stopped' : ''}`, { name, stopped })
  },
}
