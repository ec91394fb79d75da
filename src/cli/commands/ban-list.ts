import type { DefendedHost } from '../../accounts/defender.ts'
import { withAccounts } from '../account-door.ts'
import { type CliCommand, flag } from '../command.ts'
import { printJson, printTable } from '../output.ts'

/** Lists addresses that are banned or on their way there. */
export const banList: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['ban list', 'ban list --json'],
  async run(input) {
    const hosts = await withAccounts(input.configFile, (ask) => ask('ban list'))
    if (flag(input, 'json')) return printJson(hosts)
    printTable([
      ['ADDRESS', 'SCORE', 'BANNED UNTIL'],
      ...(hosts as DefendedHost[]) // as the operation answers
        .map(({ address, score, bannedUntil }) => [address, String(score), String(bannedUntil ?? '')]),
    ])
  },
}
