import type { LoginStory } from '../../accounts/story.ts'
import { askServer } from '../ask-server.ts'
import { type CliCommand, CommandError, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { ControlError } from '../../control/control-client.ts'
import { print, printJson, printTable } from '../output.ts'

/** Tells the whole story of a login. */
export const why: CliCommand = {
  arguments: '[id]',
  options: [['--json', 'print as JSON']],
  examples: ['why k3v9x2mq', 'why'],
  async run(input) {
    const [id] = input.args
    const stories = id === undefined ? await latest(input.configFile) : [await story(input.configFile, id)]
    if (flag(input, 'json')) return printJson(id === undefined ? stories : stories[0])
    if (id === undefined) return printTable([...stories.map(summaryOf)])
    for (const one of stories) printStory(one)
  },
}

async function latest(configFile: string): Promise<LoginStory[]> {
  return (await askServer(configFile, 'why latest', {})) as LoginStory[] // as the operation answers
}

async function story(configFile: string, id: string): Promise<LoginStory> {
  try {
    return (await askServer(configFile, 'why', { id })) as LoginStory // as the operation answers
  } catch (error) {
    if (error instanceof ControlError && error.code === 'not-found')
      throw new CommandError(exitCodes.notFound, error.message, { cause: error })
    throw error
  }
}

function summaryOf({ id, startedAt, username, address, outcome, steps }: LoginStory): string[] {
  return [id, new Date(startedAt).toISOString(), username, address, outcome, steps.at(-1)?.reason ?? '']
}

function printStory(one: LoginStory): void {
  const { startedAt, username, address, clientVersion, outcome, elapsedMs, method } = one
  print(`${new Date(startedAt).toISOString()} "${username}" from ${address} with ${clientVersion}`)
  print(`${outcome}${method === undefined ? '' : ` by ${method}`} after ${elapsedMs} ms`)
  printTable(
    one.steps.map((step) => [
      `${step.atMs} ms`,
      ...[step.method, step.by, step.result, `${step.elapsedMs} ms`, step.reason ?? ''],
    ]),
  )
}
