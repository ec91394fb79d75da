import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { print } from '../output.ts'

/** Takes an address or network off a list. */
export const addressRemove: CliCommand = {
  arguments: '<list> <network>',
  examples: ['address remove deny 203.0.113.0/24'],
  async run(input) {
    const [list = '', network = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('address remove', { list, network }))
    print(`Took ${network} off the ${list} list`)
  },
}
