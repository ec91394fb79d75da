import type { EventView } from '../../events/event-operations.ts'
import { type CliCommand, flag } from '../command.ts'
import { askEvents, limitOf, selectionOf, selectionOptions } from '../event-door.ts'
import { eventCells, eventHeadings } from '../event-lines.ts'
import { printJson, printTable } from '../output.ts'

/** Lists the newest events that are kept. */
export const eventsList: CliCommand = {
  options: [...selectionOptions, ['--limit <n>', 'how many', '50'], ['--json', 'print as JSON']],
  examples: ['events list', "events list --user ada --path '/incoming/*' --since 12h", 'events list --json'],
  async run(input) {
    const question = { ...selectionOf(input), limit: limitOf(input) }
    const events = (await askEvents(input.configFile, 'events list', question)) as EventView[] // as the operation answers
    if (flag(input, 'json')) return printJson(events)
    printTable([eventHeadings, ...events.map(eventCells)])
  },
}
