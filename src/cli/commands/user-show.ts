import type { User } from '../../accounts/user.ts'
import { withAccounts } from '../account-door.ts'
import { type CliCommand, flag } from '../command.ts'
import { print, printJson } from '../output.ts'

/** Prints one user as JSON, secrets hidden. */
export const userShow: CliCommand = {
  arguments: '<name>',
  options: [
    ['--complete', 'with groups merged and placeholders replaced, as a session sees it'],
    ['--json', 'print as JSON (the default)'],
  ],
  examples: ['user show ada', 'user show ada --complete'],
  async run(input) {
    const [username = ''] = input.args
    const answer = await withAccounts(input.configFile, (ask) =>
      ask('user show', { username, complete: flag(input, 'complete') }),
    )
    const { user, problem } = answer as { user: User; problem?: string } // as the operation answers
    printJson(user)
    if (problem !== undefined && !flag(input, 'json')) print(`Cannot log in: ${problem}`)
  },
}
