import type { OutputRecord } from '../../host/output.ts'
import { requireServer } from '../ask-server.ts'
import { type CliCommand, flag, textOption } from '../command.ts'
import { print } from '../output.ts'
import { recordText } from '../plugin-words.ts'

/** Shows what a plugin of the running server said lately, and with `--follow` what it says next. */
export const pluginLogs: CliCommand = {
  arguments: '<name>',
  options: [
    ['-f, --follow', 'go on until interrupted'],
    ['--level <level>', 'trace, debug, info, warn or error: the least important lines to show', 'trace'],
    ['--json', 'print each line as JSON'],
  ],
  examples: ['plugin logs ldap', 'plugin logs ldap -f --level warn'],
  async run(input) {
    const client = await requireServer(input.configFile)
    try {
      const asked = { name: input.args[0], level: textOption(input, 'level'), follow: flag(input, 'follow') }
      for await (const item of client.follow('plugin-logs', asked)) {
        const record = item as OutputRecord // as the server's operation sends
        print(flag(input, 'json') ? JSON.stringify(record) : recordText(record))
      }
    } finally {
      client.close()
    }
  },
}
