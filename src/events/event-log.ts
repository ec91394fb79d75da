import type { Soon } from '../base/soon.ts'
import type { FileAction, FileEvent, LogEvent, ProviderEvent } from './event.ts'

/**
 * Where things that happen are written down before anyone is told.
 *
 * For an effect on a file: `intend`, then do it, then `commit` (or `abandon`), and only then the answer to the
 * client. An intent that was neither committed nor abandoned is held against the disk at the next start.
 */
export interface EventLog {
  /** Whether any notifier asked for this. When not, the caller skips everything: events then cost nothing. */
  wants(action: FileAction): boolean
  /** Writes down what is about to happen. */
  intend(intent: FileIntent): Soon<Intent>
  /** Writes down what has happened and needed no intent: downloads, interrupted uploads. */
  record(event: FileEvent): Soon<void>
  /** Accounts changed. */
  recordProvider(event: ProviderEvent): Promise<void>
  /** Connections and logins; best effort, never waits. */
  recordLog(event: LogEvent): void
  /** Asks those who may refuse (`veto`) before a pre-event's effect; false means: refuse. True at once when nobody may. */
  permits(event: FileEvent): Soon<boolean>
}

/** What is about to happen, with what a restart needs to find out whether it did. */
export interface FileIntent {
  readonly event: FileEvent
  /** How reality is held against this intent after a crash; see `reconcile`. */
  readonly check: IntentCheck
}

/** Facts on real paths of the machine (one character per byte) that tell whether the effect took place. */
export type IntentCheck =
  /** A finished upload: the part file takes the final name. */
  | { readonly of: 'publish'; readonly partPath: string; readonly finalPath: string; readonly inode: number }
  /** A direct upload: the final name is written in place. */
  | { readonly of: 'in-place'; readonly finalPath: string; readonly inode: number }
  | { readonly of: 'remove'; readonly path: string }
  | {
      readonly of: 'rename'
      readonly from: string
      readonly to: string
      readonly inode: number
      /** Nothing had the new name: once it stands for the file, renaming has begun. */
      readonly toWasFree: boolean
    }
  | { readonly of: 'make-directory'; readonly path: string }
  /** Nothing on this machine can tell (another backend). */
  | { readonly of: 'unknown' }

/** An intent that was written down. Exactly one of the two is called. */
export interface Intent {
  /** The effect took place; the event may now differ in size, status and metadata. Returns when it is written down. */
  commit(event: FileEvent): Soon<void>
  /** The effect did not take place. */
  abandon(): Soon<void>
}

/** Writes nothing down and asks nobody. */
export const silentEventLog: EventLog = {
  wants: () => false,
  intend: () => ({ commit() {}, abandon() {} }),
  record() {},
  async recordProvider() {},
  recordLog() {},
  permits: () => true,
}
