import { readFileSync } from 'node:fs'
import { withAccounts } from '../account-door.ts'
import type { CliCommand } from '../command.ts'
import { printDone } from '../done.ts'

/** Gives a user a public key. */
export const userKeyAdd: CliCommand = {
  arguments: '<name> <file>',
  options: [['--json', 'print as JSON']],
  examples: ['user key add ada ~/.ssh/id_ed25519.pub'],
  async run(input) {
    const [username = '', file = ''] = input.args
    const key = readFileSync(file, 'utf8').trim()
    const fingerprint = await withAccounts(input.configFile, (ask) => ask('user key add', { username, key }))
    printDone(input, `"${username}" can log in with ${String(fingerprint)}`, { username, fingerprint })
  },
}
