import type { AddressRule } from '../../accounts/dump.ts'
import { withAccounts } from '../account-door.ts'
import { type CliCommand, flag } from '../command.ts'
import { printJson, printTable } from '../output.ts'

/** Prints the allow, deny and safe lists. */
export const addressList: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['address list', 'address list --json'],
  async run(input) {
    const rules = await withAccounts(input.configFile, (ask) => ask('address list'))
    if (flag(input, 'json')) return printJson(rules)
    printTable([
      ['LIST', 'NETWORK', 'FROM', 'NOTE'],
      ...(rules as (AddressRule & { from: string })[]) // as the operation answers
        .map(({ list, network, from, note }) => [list, network, from, note]),
    ])
  },
}
