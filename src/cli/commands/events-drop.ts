import { type CliCommand, CommandError, flag, textOption } from '../command.ts'
import { askChange, selectionOf, selectionOptions } from '../event-door.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'

/** Forgets deliveries that are still owed. */
export const eventsDrop: CliCommand = {
  options: [
    ...selectionOptions,
    ['--parked', 'only what is parked'],
    ['--notifier <name>', 'for this notifier alone'],
    ['--reason <text>', 'why; noted with your name'],
    ['--json', 'print as JSON'],
  ],
  examples: ['events drop --parked --notifier audit --reason "the index was rebuilt from the files"'],
  async run(input) {
    const reason = textOption(input, 'reason')
    if (reason === undefined || reason.trim() === '')
      throw new CommandError(exitCodes.usage, 'Dropping events wants a reason: --reason "..."')
    const question = { ...selectionOf(input), parkedOnly: flag(input, 'parked'), reason }
    const report = await askChange(input.configFile, 'events drop', question)
    if (flag(input, 'json')) printJson(report)
    else print(`${report.deliveries} deliveries of ${report.events} events are dropped`)
  },
}
