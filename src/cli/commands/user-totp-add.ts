import type { NewTotp } from '../../accounts/manage-users.ts'
import { withAccounts } from '../account-door.ts'
import { type CliCommand, flag, textOption } from '../command.ts'
import { print, printJson } from '../output.ts'

/** Gives a user a second factor, and shows once what the user's authenticator needs. */
export const userTotpAdd: CliCommand = {
  arguments: '<name>',
  options: [
    ['--kind <name>', 'which of mfa.totp; default: the first'],
    ['--json', 'print as JSON'],
  ],
  examples: ['user totp add ada'],
  async run(input) {
    const [username = ''] = input.args
    const kind = textOption(input, 'kind') ?? ''
    const made = (await withAccounts(input.configFile, (ask) =>
      ask('user totp add', { username, kind }),
    )) as NewTotp // as the operation answers
    if (flag(input, 'json')) return printJson({ username, ...made })
    print(`"${username}" is asked for a code after the password; the secret is shown this once:`)
    print(`  ${made.secret}`)
    print(`  ${made.uri}`)
  },
}
