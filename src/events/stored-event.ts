import type { ServerEvent } from './event.ts'
import type { OwedRow } from './outbox.ts'

/** An event as it was written down. */
export interface StoredEvent {
  readonly seq: number
  /** The stable id, the same each time it is told. */
  readonly id: string
  readonly createdMs: number
  readonly event: ServerEvent
}

/** How many streams log events are spread over: the names in them are whatever a stranger typed. */
const logStreams = 16

/** The stream an event belongs to: within one, events are told in order. One per user for what users do with files. */
export function streamOf(event: ServerEvent): string {
  if (event.kind === 'file') return `u/${event.username}`
  if (event.kind === 'provider') return 'p'
  let hash = 0
  for (let index = 0; index < event.username.length; index += 1)
    hash = (hash * 31 + event.username.charCodeAt(index)) | 0
  return `l/${Math.abs(hash) % logStreams}`
}

/** Whether a stream holds nothing but what a user did with files. */
export function isOfFiles(stream: string): boolean {
  return stream.startsWith('u/')
}

/** What happened, as one word to search by. */
export function actionOf(event: ServerEvent): string {
  if (event.kind === 'file') return event.action
  return event.kind === 'provider' ? `provider-${event.action}` : `log-${event.event}`
}

/** Actions that promise nothing: the first to go when room is short. */
export const bestEffortActions: readonly string[] = [
  ...['log-1', 'log-2', 'log-3', 'log-4', 'log-5'],
  ...['download', 'first-download', 'pre-upload', 'pre-download', 'pre-delete'],
]

/** The text an event is kept as. */
export function payloadOf(event: ServerEvent): string {
  return JSON.stringify(event)
}

/** The event that is owed; read from its text only where nobody has it in memory any more. */
export function eventOf({ event, payload }: OwedRow): ServerEvent {
  return event ?? eventOfPayload(payload)
}

/** The event a text of ours holds. */
export function eventOfPayload(payload: string): ServerEvent {
  // Written by `payloadOf` into a table that nothing else writes to.
  return JSON.parse(payload) as ServerEvent
}
