import { withAccounts } from '../account-door.ts'
import { type CliCommand, textOption } from '../command.ts'
import { print } from '../output.ts'

/** Bans an address for a while. */
export const banAdd: CliCommand = {
  arguments: '<address>',
  options: [['--minutes <number>', 'how long', '30']],
  examples: ['ban add 192.0.2.7', 'ban add 192.0.2.7 --minutes 1440'],
  async run(input) {
    const [address = ''] = input.args
    const minutes = Number(textOption(input, 'minutes'))
    await withAccounts(input.configFile, (ask) => ask('ban add', { address, minutes }))
    print(`Banned ${address} for ${minutes} minutes`)
  },
}
