import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { printDone } from '../done.ts'

/** Keeps a user out and ends the sessions that are open. */
export const userDisable: CliCommand = {
  arguments: '<name>',
  options: [['--json', 'print as JSON']],
  examples: ['user disable ada'],
  async run(input) {
    const [username = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('user disable', { username }))
    printDone(input, `Disabled "${username}"; open sessions end`, { username, status: 0 })
  },
}
