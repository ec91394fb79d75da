import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { printDone } from '../done.ts'

/** Takes an address or network off a list. */
export const addressRemove: CliCommand = {
  arguments: '<list> <network>',
  options: [['--json', 'print as JSON']],
  examples: ['address remove deny 203.0.113.0/24'],
  async run(input) {
    const [list = '', network = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('address remove', { list, network }))
    printDone(input, `Took ${network} off the ${list} list`, { list, network, removed: true })
  },
}
