import type { EventView } from '../events/event-operations.ts'

/** The cells of an event in a table, in the order of `eventHeadings`. */
export function eventCells(event: EventView): string[] {
  const path = event.targetPath === undefined ? event.path : `${event.path} -> ${event.targetPath}`
  return [
    event.time,
    event.action,
    event.username,
    outcomeOf(event),
    deliveriesOf(event),
    event.id,
    path,
  ].map(harmless)
}

/** Text that strangers chose, without what would make a terminal do something. */
export function harmless(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are the characters that are meant
  return text.replace(/[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (one) => {
    const code = one.charCodeAt(0)
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}

/** What stands over those cells. */
export const eventHeadings = ['TIME', 'ACTION', 'USER', 'OUTCOME', 'NOT TOLD YET', 'ID', 'PATH']

const outcomes: Readonly<Record<number, string>> = { 1: 'done', 2: 'failed', 3: 'over quota' }

function outcomeOf({ status, size }: EventView): string {
  if (status === undefined) return '-'
  return `${outcomes[status] ?? String(status)}${size === undefined || size === 0 ? '' : ` ${size} B`}`
}

function deliveriesOf({ deliveries }: EventView): string {
  if (deliveries.length === 0) return '-'
  return deliveries
    .map(({ notifier, state }) => (state === 'parked' ? `${notifier} (parked)` : notifier))
    .join(', ')
}
