import type { EventView } from '../../events/event-operations.ts'
import { requireServer } from '../ask-server.ts'
import { type CliCommand, flag } from '../command.ts'
import { selectionOf } from '../event-door.ts'
import { eventCells } from '../event-lines.ts'
import { print } from '../output.ts'

/** Follows events as they are written down. */
export const eventsTail: CliCommand = {
  options: [
    ['--user <name>', 'of this user'],
    ['--path <path>', 'of this path; with * at its end, of everything that begins so'],
    ['--action <action>', 'of this kind'],
    ['--json', 'print one JSON object a line'],
  ],
  examples: [
    'events tail',
    "events tail --user ada --path '/incoming/*'",
    'events tail --action upload --json',
  ],
  async run(input) {
    const server = await requireServer(input.configFile)
    try {
      for await (const item of server.follow('events tail', selectionOf(input))) {
        const event = item as EventView // as the operation answers
        print(flag(input, 'json') ? JSON.stringify(event) : eventCells(event).join('  '))
      }
    } finally {
      server.close()
    }
  },
}
