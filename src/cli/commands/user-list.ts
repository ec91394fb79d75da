import type { User } from '../../accounts/user.ts'
import { withAccounts } from '../account-door.ts'
import { type CliCommand, flag } from '../command.ts'
import { printJson, printTable } from '../output.ts'

/** Lists every user. */
export const userList: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['user list', 'user list --json'],
  async run(input) {
    const users = (await withAccounts(input.configFile, (ask) => ask('user list'))) as User[] // as the operation answers
    if (flag(input, 'json')) return printJson(users)
    printTable([
      ['NAME', 'STATUS', 'PASSWORD', 'KEYS', 'LAST LOGIN', 'HOME'],
      ...users.map((user) => [
        user.username,
        user.status === 1 ? 'enabled' : 'disabled',
        user.password === undefined ? 'no' : 'yes',
        String(user.public_keys?.length ?? 0),
        user.last_login === 0 ? 'never' : new Date(user.last_login).toISOString(),
        user.home_dir,
      ]),
    ])
  },
}
