import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { printDone } from '../done.ts'
import { readPassword } from '../read-password.ts'

/** Sets a password, asked for or read from standard input. */
export const userPasswd: CliCommand = {
  arguments: '<name>',
  options: [['--json', 'print as JSON']],
  examples: ['user passwd ada', 'user passwd ada < password.txt'],
  async run(input) {
    const [username = ''] = input.args
    const password = await readPassword()
    await withAccounts(input.configFile, (ask) => ask('user passwd', { username, password }))
    printDone(input, `Changed the password of "${username}"`, { username, changed: 'password' })
  },
}
