import { withAccounts } from '../account-door.ts'
import { type CliCommand, textOption } from '../command.ts'
import { printDone } from '../done.ts'

/** Puts an address or network on a list. */
export const addressAdd: CliCommand = {
  arguments: '<list> <network>',
  options: [
    ['--note <text>', 'why', ''],
    ['--json', 'print as JSON'],
  ],
  examples: ['address add deny 203.0.113.0/24 --note scanner', 'address add safe 10.0.0.0/8'],
  async run(input) {
    const [list = '', network = ''] = input.args
    const note = textOption(input, 'note') ?? ''
    await withAccounts(input.configFile, (ask) => ask('address add', { list, network, note }))
    printDone(input, `Put ${network} on the ${list} list`, { list, network, note })
  },
}
