import type { LiveConnection } from '../../accounts/session-guard.ts'
import { askServer } from '../ask-server.ts'
import { type CliCommand, flag } from '../command.ts'
import { printJson, printTable } from '../output.ts'

/** Lists who is logged in. */
export const userSessions: CliCommand = {
  arguments: '[name]',
  options: [['--json', 'print as JSON']],
  examples: ['user sessions', 'user sessions ada --json'],
  async run(input) {
    const [username = ''] = input.args
    const answer = await askServer(input.configFile, 'user sessions', { username })
    const sessions = answer as LiveConnection[] // as the operation answers
    if (flag(input, 'json')) return printJson(sessions)
    printTable([
      ['CONNECTION', 'USER', 'ADDRESS', 'METHOD', 'SESSIONS', 'SINCE', 'CLIENT'],
      ...sessions.map((one) => [
        ...[one.id, one.username ?? '', one.address, one.method ?? '', String(one.sessions)],
        ...[new Date(one.since).toISOString(), one.clientVersion],
      ]),
    ])
  },
}
