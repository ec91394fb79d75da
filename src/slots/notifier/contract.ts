import type { PluginError } from '../../base/errors.ts'
import type { Call, Refusal } from '../call.ts'

/**
 * Hears what happened. Delivered means: the call returned.
 *
 * Promises: at least once, in order per user, with a stable event id in `metadata["event_id"]` and in the call's
 * metadata; a notice that fails is told again later. A refusal means something only for the pre-events of an
 * entry with `veto`.
 */
export interface Notifier {
  notifyFile?(notice: FileNotice, call?: Call): Promise<Refusal | void>
  notifyProvider?(notice: ProviderNotice, call?: Call): Promise<void>
  notifyLog?(notice: LogNotice, call?: Call): Promise<void>
}

/** A notifier as its host asks it. */
export interface AskedNotifier extends Required<Notifier> {
  /** Hears of these, of one user, the oldest first, and of none behind one that it did not take. Left out: it cannot. */
  readonly notifyFiles?: (notices: readonly FileNotice[], call?: Call) => Promise<TakenInOrder>
}

/** How far a notifier came. */
export interface TakenInOrder {
  /** So many of them, the oldest. */
  readonly taken: number
  /** Why not the next one; left out when there was no time for it, or when all were taken. */
  readonly failure?: PluginError
}

/** Something happened to a file. Names that are not UTF-8 are escaped here and stand exactly in `metadata`. */
export interface FileNotice {
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint
  readonly action: string
  readonly username: string
  readonly storagePath: string
  readonly storageTargetPath: string
  readonly sshCommand: string
  readonly size: bigint
  readonly protocol: string
  /** 1 done, 2 failed, 3 over quota. */
  readonly status: number
  readonly address: string
  readonly path: string
  readonly targetPath: string
  readonly sessionId: string
  readonly filesystemProvider: number
  readonly bucket: string
  readonly endpoint: string
  readonly openFlags: number
  readonly role: string
  readonly elapsedMs: bigint
  readonly metadata: Readonly<Record<string, string>>
}

/** An account, a folder, a group or an address list changed. */
export interface ProviderNotice {
  readonly timestamp: bigint
  readonly action: string
  readonly objectType: string
  readonly username: string
  readonly address: string
  readonly objectName: string
  /** JSON without confidential parts. */
  readonly objectData: Uint8Array
  readonly role: string
}

/** A login or a connection. */
export interface LogNotice {
  readonly timestamp: bigint
  readonly event: number
  readonly username: string
  readonly protocol: string
  readonly address: string
  readonly message: string
  readonly role: string
}
