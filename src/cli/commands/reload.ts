import { type CliCommand, CommandError, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'
import { askServer } from '../ask-server.ts'
import type { ReloadAnswer } from '../reload-server.ts'

/** Makes the running server read its configuration again. */
export const reload: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['reload', 'reload --config /etc/sftpgo-ts/sftpgo.config.json'],
  async run(input) {
    const answer = (await askServer(input.configFile, 'reload')) as ReloadAnswer // as the server's operation answers
    if (flag(input, 'json')) printJson(answer)
    if (!answer.ok)
      throw new CommandError(
        exitCodes.invalid,
        `The old configuration stays in force:\n${answer.problems.join('\n')}`,
      )
    if (flag(input, 'json')) return
    const taken = answer.changed.filter((key) => !answer.needRestart.includes(key))
    if (answer.changed.length === 0) print('Nothing had changed')
    if (taken.length > 0) print(`Took over: ${taken.join(', ')}`)
    if (answer.needRestart.length > 0) print(`Needs a restart: ${answer.needRestart.join(', ')}`)
    for (const { name, reason, oldRuns } of answer.notReady)
      print(`Not ready: "${name}"${oldRuns ? ', the one before goes on' : ''}: ${reason}`)
  },
}
