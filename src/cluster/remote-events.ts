import type { EventLog, Intent } from '../events/event-log.ts'
import type { FileAction } from '../events/event.ts'
import type { LinkToPrimary } from './contract.ts'

/** The event log of a worker: the primary writes down and tells. */
export interface RemoteEvents extends EventLog {
  /** The actions that somebody wants to hear of have changed. */
  setWanted(actions: readonly FileAction[]): void
}

/** A login's event is worth nothing while the primary is behind by this many messages. */
const mostBacklog = 10_000
/** A disk that is full or slow; the client waits as long. */
const writeMs = 120_000

/** Creates it over the line to the primary. */
export function createRemoteEvents(link: LinkToPrimary, first: readonly FileAction[]): RemoteEvents {
  let wanted: ReadonlySet<FileAction> = new Set(first)
  return {
    setWanted(actions) {
      wanted = new Set(actions)
    },
    wants: (action) => wanted.has(action),
    async intend(intent) {
      if (!wanted.has(intent.event.action)) return unwanted
      const number = await link.ask('intend', intent, writeMs)
      return {
        commit: (event) => link.ask('commit', { intent: number, event }, writeMs),
        abandon: () => link.ask('abandon', { intent: number }, writeMs),
      }
    },
    record: (event) => link.ask('record', event, writeMs),
    // Accounts change in the primary alone.
    async recordProvider() {},
    recordLog(event) {
      if (link.backlog < mostBacklog) link.tell('log', event)
    },
    permits: (event) => link.ask('permits', event, writeMs),
  }
}

/** Nobody asked: nothing is written. */
const unwanted: Intent = { async commit() {}, async abandon() {} }
