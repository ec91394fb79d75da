import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { print } from '../output.ts'

/** Keeps a user out and ends the sessions that are open. */
export const userDisable: CliCommand = {
  arguments: '<name>',
  examples: ['user disable ada'],
  async run(input) {
    const [username = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('user disable', { username }))
    print(`Disabled "${username}"; open sessions end`)
  },
}
