import type { PartState, ServerStatus } from '../../server/running-server.ts'
import { askServer } from '../ask-server.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { printJson, printTable } from '../output.ts'

/** Says how the running server is; the exit code is 1 when a part that it needs is not ready. */
export const status: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['status', 'status --json'],
  async run(input) {
    const answer = (await askServer(input.configFile, 'status')) as ServerStatus // as the server's operation answers
    if (flag(input, 'json')) printJson(answer)
    else printTable(rowsOf(answer))
    return answer.ready ? exitCodes.ok : exitCodes.unexpected
  },
}

function rowsOf(status: ServerStatus): string[][] {
  return [
    ['version', status.version],
    ['process', `${status.pid}, since ${status.startedAt}`],
    ['configuration', status.configuration],
    ['listening', status.listening.map(({ address, port }) => `${address}:${port}`).join(', ')],
    ['connections', `${status.connections}, with ${status.sessions} SFTP sessions`],
    ['log', `level ${status.logLevel}, ${status.droppedLogLines} lines dropped`],
    ...(status.lastReload === undefined
      ? []
      : [['last reload', `${status.lastReload.at}: ${status.lastReload.message}`]]),
    ...(status.needRestart.length === 0 ? [] : [['needs a restart', status.needRestart.join(', ')]]),
    ...Object.entries(status.parts).map(([name, part]) => [name, `${readinessOf(part)}${part.detail}`]),
  ]
}

function readinessOf({ ready, required }: PartState): string {
  if (ready) return ''
  return required ? 'NOT READY: ' : 'NOT READY (and not required): '
}
