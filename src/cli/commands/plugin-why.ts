import type { PluginStory } from '../../server/plugin-operations.ts'
import { askServer } from '../ask-server.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'
import { recordText, stateText } from '../plugin-words.ts'

/** Says why a plugin of the running server is as it is: state, reason, what to do, and its last words. */
export const pluginWhy: CliCommand = {
  arguments: '<name>',
  options: [['--json', 'print as JSON']],
  examples: ['plugin why ldap'],
  async run(input) {
    // As the server's operation answers.
    const story = (await askServer(input.configFile, 'plugin-why', { name: input.args[0] })) as PluginStory
    if (flag(input, 'json')) printJson(story)
    else tell(story)
    return story.status.state === 'ready' ? exitCodes.ok : exitCodes.unexpected
  },
}

function tell({ status, said }: PluginStory): void {
  print(`${status.name} is ${stateText(status)}, after ${status.starts} starts`)
  if (status.lastExit !== undefined) print(`Its last process ended ${status.lastExit}`)
  if (status.reason !== undefined)
    print(`Because: ${status.reason.message} (${status.reason.code})\nTo do: ${status.reason.remedy}`)
  if (status.warning !== undefined) print(`Note: ${status.warning}`)
  if (said.length > 0) print('Its last words:')
  for (const record of said) print(`  ${recordText(record)}`)
}
