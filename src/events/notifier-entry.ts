import type { AskedNotifier, Notifier } from '../slots/notifier/contract.ts'
import type { FileAction, LogEventNumber, ProviderEvent, ServerEvent } from './event.ts'

/** One notifier as configured: what it wants to hear, how it is told, and whether it may refuse. */
export interface NotifierEntry {
  /** The name of the instance; what is still owed is kept under it. */
  readonly name: string
  /** The notifier that is ready now; asked each time, nothing is kept. */
  notifier(): (Notifier & Pick<AskedNotifier, 'notifyFiles'>) | undefined
  /** Calls `action` each time one becomes ready; the returned function ends that. Left out: looked at every second. */
  onReady?(action: () => void): () => void
  readonly wants: NotifierWants
  readonly delivery?: DeliveryOptions
  /** Asked before pre-events, which are then not queued for it. Left out: it may refuse nothing. */
  readonly veto?: VetoOptions
}

/** The kinds of events a notifier asks for. */
export interface NotifierWants {
  readonly files: readonly FileAction[]
  readonly logs?: readonly LogEventNumber[]
  readonly providerActions?: readonly ProviderEvent['action'][]
  readonly providerObjects?: readonly string[]
}

/** The account objects of which there are events; SFTPGo has more. */
export const toldObjects: readonly string[] = ['user', 'folder', 'group', 'ip_list_entry']

/** What a notifier asks for and will never hear. */
export function neverTold({
  files,
  providerActions = [],
  providerObjects = [],
}: NotifierWants): readonly string[] {
  const objects = providerActions.length === 0 ? [] : providerObjects
  return [
    ...objects
      .filter((object) => !toldObjects.includes(object))
      .map((object) => `provider_objects ${object}`),
    ...files.filter((action) => action === 'ssh_cmd').map((action) => `fs_events ${action}`),
  ]
}

/** How a notifier is told. */
export interface DeliveryOptions {
  /** The end of one call; default 20 s. */
  readonly timeoutMs?: number
  /** Most calls at once, each of another user; default 32. */
  readonly atOnce?: number
  /** Failures of one event before it is parked; default 10. */
  readonly maxAttempts?: number
  /** A failed event older than this is parked; default: never for its age. */
  readonly parkAfterMs?: number
  /** More waiting events than this are an alarm in the log. Default: none. */
  readonly alarmAbove?: number
}

/** What a veto means when it cannot be had. */
export interface VetoOptions {
  /** The end of the question; default 5 s. */
  readonly timeoutMs?: number
  /** When the notifier cannot answer; default refuse. */
  readonly whenDown?: 'refuse' | 'allow'
  /** How a status that says nothing is read; default refusal. */
  readonly unknownStatus?: 'refusal' | 'failure'
}

/** The actions that come before an effect. */
export function isPreAction(action: FileAction): boolean {
  return action === 'pre-upload' || action === 'pre-download' || action === 'pre-delete'
}

/** Whether `entry` is to be told of `event` later. */
export function isOwed(entry: NotifierEntry, event: ServerEvent): boolean {
  switch (event.kind) {
    case 'file':
      if (entry.veto !== undefined && isPreAction(event.action)) return false
      return entry.wants.files.includes(event.action)
    case 'log':
      return entry.wants.logs?.includes(event.event) ?? false
    case 'provider':
      return (
        (entry.wants.providerActions?.includes(event.action) ?? false) &&
        (entry.wants.providerObjects?.includes(event.objectType) ?? false)
      )
  }
}
