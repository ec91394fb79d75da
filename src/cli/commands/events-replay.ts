import { type CliCommand, flag } from '../command.ts'
import { askChange, selectionOf, selectionOptions } from '../event-door.ts'
import { print, printJson } from '../output.ts'

/** Has events told again. */
export const eventsReplay: CliCommand = {
  options: [
    ...selectionOptions,
    ['--parked', 'only what is parked'],
    ['--notifier <name>', 'to this notifier alone'],
    ['--json', 'print as JSON'],
  ],
  examples: [
    'events replay --parked',
    'events replay --id 0198c1d2-7a3b-7000-8000-0123456789ab',
    'events replay --user ada --since 2026-11-21T08:00:00Z --until 2026-11-21T09:00:00Z --notifier audit',
  ],
  async run(input) {
    const question = { ...selectionOf(input), parkedOnly: flag(input, 'parked') }
    const report = await askChange(input.configFile, 'events replay', question)
    if (flag(input, 'json')) printJson(report)
    else print(`${report.events} events are told again (${report.deliveries} deliveries)`)
  },
}
