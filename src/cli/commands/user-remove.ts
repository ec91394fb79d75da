import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { printDone } from '../done.ts'

/** Removes a user and ends the sessions that are open; files stay. */
export const userRemove: CliCommand = {
  arguments: '<name>',
  options: [['--json', 'print as JSON']],
  examples: ['user remove ada'],
  async run(input) {
    const [username = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('user remove', { username }))
    printDone(input, `Removed "${username}"; open sessions end, files stay`, { username, removed: true })
  },
}
