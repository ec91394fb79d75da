import { EventsInOrderDefinition, type FileEvents, type Taken } from '../../gen/slots/events_in_order.ts'
import type { FsEvent } from '../../gen/slots/notifier.ts'
import type { ServerCall } from '../../wire/answering.ts'
import type { Caller, Handlers } from '../../wire/service.ts'
import { errorOf, statusOf } from '../../wire/status.ts'
import type { Call } from '../call.ts'
import type { TakenInOrder } from './contract.ts'

/** The service with which several events of a user go in one call; SFTPGo's own takes one a call. */
export const eventsInOrder = {
  service: EventsInOrderDefinition,
  announces: { field: 'sftpgo-ts-events', value: 'in-order' },
} as const

/** The asking side. */
export async function askInOrder(
  caller: Caller<EventsInOrderDefinition>,
  events: readonly FsEvent[],
  call: Call | undefined,
): Promise<TakenInOrder> {
  const { count, code, text } = await caller.take({ events: [...events] }, call)
  const taken = Math.min(count, events.length)
  return code === 0 ? { taken } : { taken, failure: errorOf({ code, text }, 'sftpgots.EventsInOrder/Take') }
}

/** A call that is at it for so long says how far it came: whoever waits for it may have little patience. */
const mostMs = 1_000

/** The answering side: `take` hears of them one after the other, and of none behind one that it did not take. */
export function answerInOrder(
  take: (event: FsEvent, call: Call) => Promise<unknown>,
): Handlers<EventsInOrderDefinition> {
  return {
    async take({ events }: FileEvents, { signal }: ServerCall): Promise<Taken> {
      const until = performance.now() + mostMs
      for (const [count, event] of events.entries()) {
        if (signal.aborted || performance.now() > until) return { count, code: 0, text: '' }
        try {
          await take(event, { signal, metadata: metadataOf(event) })
        } catch (error) {
          return { count, ...statusOf(error) }
        }
      }
      return { count: events.length, code: 0, text: '' }
    },
  }
}

/** What travels beside an event that is told alone. */
function metadataOf({ metadata }: FsEvent): Readonly<Record<string, string>> {
  const id = metadata['event_id'] ?? ''
  return { 'event-id': id, 'idempotency-key': id, 'event-attempt': '1' }
}
