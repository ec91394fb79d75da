import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { printDone } from '../done.ts'

/** Takes the second factor away from a user, such as one who lost the telephone. */
export const userTotpRemove: CliCommand = {
  arguments: '<name>',
  options: [['--json', 'print as JSON']],
  examples: ['user totp remove ada'],
  async run(input) {
    const [username = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('user totp remove', { username }))
    printDone(input, `"${username}" is asked for no code any more`, { username, removed: 'totp' })
  },
}
