import type { EventView } from '../../events/event-operations.ts'
import { type CliCommand, CommandError, flag } from '../command.ts'
import { askEvents } from '../event-door.ts'
import { harmless } from '../event-lines.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson, printTable } from '../output.ts'

/** Prints everything about one event. */
export const eventsShow: CliCommand = {
  arguments: '<id>',
  options: [['--json', 'print as JSON']],
  examples: ['events show 0198c1d2-7a3b-7000-8000-0123456789ab'],
  async run(input) {
    const found = await askEvents(input.configFile, 'events show', { id: input.args[0] }).catch(notFound)
    const event = found as EventView // as the operation answers
    if (flag(input, 'json')) return printJson(event)
    const { deliveries, event: whole = {}, ...view } = event
    const facts = { ...whole, ...view }
    printTable(Object.entries(facts).map(([name, value]) => [name, textOf(value)]))
    print()
    if (deliveries.length === 0) print('Everybody who wants it has heard it')
    for (const one of deliveries) {
      const reason = one.state === 'parked' ? `: ${harmless(one.reason)}` : ''
      print(`${one.notifier}: ${one.state} after ${one.attempts} tries${reason}`)
    }
  },
}

function textOf(value: unknown): string {
  return harmless(typeof value === 'string' ? value : JSON.stringify(value))
}

function notFound(error: unknown): never {
  if (error instanceof Error && error.message.startsWith('There is no event'))
    throw new CommandError(exitCodes.notFound, error.message, { cause: error })
  throw error
}
