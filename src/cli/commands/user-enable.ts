import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { print } from '../output.ts'

/** Lets a disabled user in again. */
export const userEnable: CliCommand = {
  arguments: '<name>',
  examples: ['user enable ada'],
  async run(input) {
    const [username = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('user enable', { username }))
    print(`Enabled "${username}"`)
  },
}
