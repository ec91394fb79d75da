import type { PluginStatus } from '../../host/plugin-status.ts'
import { askServer } from '../ask-server.ts'
import type { CliCommand } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print } from '../output.ts'
import { stateText } from '../plugin-words.ts'

/** Starts a plugin of the running server anew, also one that was given up. */
export const pluginRestart: CliCommand = {
  arguments: '<name>',
  examples: ['plugin restart ldap'],
  async run(input) {
    const [name] = input.args
    // As the server's operation answers.
    const status = (await askServer(input.configFile, 'plugin-restart', { name })) as PluginStatus
    print(`${status.name}: ${stateText(status)}`)
    if (status.reason !== undefined) print(`  ${status.reason.message}\n  To do: ${status.reason.remedy}`)
    return status.state === 'ready' ? exitCodes.ok : exitCodes.unexpected
  },
}
