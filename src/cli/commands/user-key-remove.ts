import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { printDone } from '../done.ts'

/** Takes a public key away from a user. */
export const userKeyRemove: CliCommand = {
  arguments: '<name> <fingerprint>',
  options: [['--json', 'print as JSON']],
  examples: ['user key remove ada SHA256:2T0EJa3kHMXjO3k2cKv5gdXGjjkeN5mCFyWFJFmR8yQ'],
  async run(input) {
    const [username = '', key = ''] = input.args
    await withAccounts(input.configFile, (ask) => ask('user key remove', { username, key }))
    printDone(input, `Took the key away from "${username}"`, { username, removed: key })
  },
}
