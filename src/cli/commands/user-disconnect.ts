import { withAccounts } from '../account-door.ts'
import { type CliCommand, textOption } from '../command.ts'
import { printDone } from '../done.ts'

/** Ends sessions of a user, or one connection. */
export const userDisconnect: CliCommand = {
  arguments: '[name]',
  options: [
    ['--connection <id>', 'only this one, as "user sessions" names it'],
    ['--json', 'print as JSON'],
  ],
  examples: ['user disconnect ada', 'user disconnect --connection 1f3a'],
  async run(input) {
    const [username = ''] = input.args
    const connection = textOption(input, 'connection') ?? ''
    const answer = await withAccounts(input.configFile, (ask) =>
      ask('user disconnect', { username, connection }),
    )
    const { ended } = answer as { ended: number } // as the operation answers
    printDone(input, `Ended ${ended} ${ended === 1 ? 'connection' : 'connections'}`, { ended })
  },
}
