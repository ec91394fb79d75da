import type { EventView } from '../../events/event-operations.ts'
import { type CliCommand, flag } from '../command.ts'
import { askEvents, limitOf, selectionOf } from '../event-door.ts'
import { harmless } from '../event-lines.ts'
import { printJson, printTable } from '../output.ts'

/** Lists the events that a notifier refused too often. */
export const eventsParked: CliCommand = {
  options: [
    ['--notifier <name>', 'parked for this notifier'],
    ['--limit <n>', 'how many', '50'],
    ['--json', 'print as JSON'],
  ],
  examples: ['events parked', 'events parked --notifier audit'],
  async run(input) {
    const question = { ...selectionOf(input), limit: limitOf(input) }
    const events = (await askEvents(input.configFile, 'events parked', question)) as EventView[] // as the operation answers
    if (flag(input, 'json')) return printJson(events)
    printTable([
      ['ID', 'NOTIFIER', 'TRIES', 'ACTION', 'USER', 'PATH', 'LAST ANSWER'],
      ...events.flatMap(rowsOf),
    ])
  },
}

function rowsOf({ id, action, username, path, deliveries }: EventView): string[][] {
  return deliveries.flatMap((one) =>
    one.state === 'parked'
      ? [[id, one.notifier, String(one.attempts), action, username, path, one.reason].map(harmless)]
      : [],
  )
}
