import type { PluginStatus } from '../../host/plugin-status.ts'
import { askServer } from '../ask-server.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'
import { stateText } from '../plugin-words.ts'

/** Starts a plugin of the running server anew, also one that was given up. */
export const pluginRestart: CliCommand = {
  arguments: '<name>',
  options: [['--json', 'print as JSON']],
  examples: ['plugin restart ldap'],
  async run(input) {
    const [name] = input.args
    // As the server's operation answers.
    const status = (await askServer(input.configFile, 'plugin-restart', { name })) as PluginStatus
    if (flag(input, 'json')) printJson(status)
    else tell(status)
    return status.state === 'ready' ? exitCodes.ok : exitCodes.unexpected
  },
}

function tell(status: PluginStatus): void {
  print(`${status.name}: ${stateText(status)}`)
  if (status.reason !== undefined) print(`  ${status.reason.message}\n  To do: ${status.reason.remedy}`)
}
