import { withAccounts } from '../account-door.ts'
import { type CliCommand, CommandError, textOption } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { printDone } from '../done.ts'

/** Bans an address for a while. */
export const banAdd: CliCommand = {
  arguments: '<address>',
  options: [
    ['--minutes <number>', 'how long', '30'],
    ['--json', 'print as JSON'],
  ],
  examples: ['ban add 192.0.2.7', 'ban add 192.0.2.7 --minutes 1440'],
  async run(input) {
    const [address = ''] = input.args
    const minutes = Number(textOption(input, 'minutes'))
    if (!Number.isInteger(minutes) || minutes < 1)
      throw new CommandError(exitCodes.usage, '--minutes is a whole number of minutes')
    await withAccounts(input.configFile, (ask) => ask('ban add', { address, minutes }))
    printDone(input, `Banned ${address} for ${minutes} minutes`, { address, minutes })
  },
}
