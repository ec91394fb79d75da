import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { printDone } from '../done.ts'

/** Lets a disabled user in again. */
export const userEnable: CliCommand = {
  arguments: '<name>',
  options: [['--json', 'print as JSON']],
  examples: ['user enable ada'],
  async run(input) {
    const [username = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('user enable', { username }))
    printDone(input, `Enabled "${username}"`, { username, status: 1 })
  },
}
