import type { EventLog, FileIntent } from '../../src/events/event-log.ts'
import type { FileAction, FileEvent } from '../../src/events/event.ts'

/** An event log that writes down every step, and refuses what `refuses` says. */
export function noted(refuses: FileAction[] = [], wants?: readonly FileAction[]) {
  const steps: string[] = []
  const events: FileEvent[] = []
  const intents: FileIntent[] = []
  const log: EventLog = {
    wants: (action) => wants?.includes(action) ?? true,
    async intend(intent) {
      steps.push(`intend ${intent.event.action}`)
      intents.push(intent)
      return {
        async commit(event) {
          steps.push(`commit ${event.action}`)
          events.push(event)
        },
        async abandon() {
          steps.push(`abandon ${intent.event.action}`)
        },
      }
    },
    async record(event) {
      steps.push(`record ${event.action}`)
      events.push(event)
    },
    async recordProvider() {},
    recordLog() {},
    permits: async (event) => !refuses.includes(event.action),
  }
  const only = (action: FileAction): FileEvent[] => events.filter((event) => event.action === action)
  return { log, steps, events, intents, only }
}
