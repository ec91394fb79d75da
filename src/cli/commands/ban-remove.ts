import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { printDone } from '../done.ts'

/** Ends a ban and forgets the score. */
export const banRemove: CliCommand = {
  arguments: '<address>',
  options: [['--json', 'print as JSON']],
  examples: ['ban remove 192.0.2.7'],
  async run(input) {
    const [address = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('ban remove', { address }))
    printDone(input, `Forgave ${address}`, { address, removed: true })
  },
}
