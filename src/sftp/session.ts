import type { Logger } from '../base/log.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { People } from './people.ts'

/** One SFTP conversation. */
export interface SftpSession {
  /** Resolves once everything the session had open is closed; never rejects. */
  readonly ended: Promise<SessionEnd>
  /** Requests received so far: when the number stands still, the client is idle. */
  readonly requests: number
  /** Requests received and not yet answered. */
  readonly outstanding: number
  /** Files open now: a transfer is under way between its requests too. */
  readonly transfers: number
  /** Ends the session now: what is open is interrupted, and the stream is ended with `exitStatus` (default 1). */
  close(exitStatus?: number): void
}

/** Why a session ended. */
export type SessionEnd = 'client-ended' | 'protocol-error' | 'stream-closed' | 'closed-by-us'

/** What a session may be told; everything has a default. */
export interface SessionOptions {
  readonly log?: Logger
  /** Names of owners and homes; default: nobody has a name. */
  readonly people?: People
  /** What SYMLINK's first string is: the target, as most clients send it (default), or the link, as the draft has it. */
  readonly symlinkOrder?: 'target-first' | 'link-first'
  /** Refuses everything that writes (`-R` of OpenSSH's sftp-server). */
  readonly readOnly?: boolean
  /** Whether the request with this name (OpenSSH's names: `open`, `posix-rename` ...) may be used; default: all. */
  readonly allows?: (request: string) => boolean
  /** Buffers for READ, shared by the sessions of a server; default: a small pool of its own. */
  readonly buffers?: BufferPool
  readonly bounds?: Partial<SessionBounds>
  /** Told to clients by `vendor-id`. */
  readonly version?: string
}

/** What one session may hold at once. The sum of the bytes stays under 8 MiB. */
export interface SessionBounds {
  /** Open handles; announced by `limits@openssh.com`. Default 256. */
  readonly handles: number
  /** Requests received and not answered. Default 1,024. */
  readonly requests: number
  /** READs given to the storage at once. Default 4. */
  readonly reads: number
  /** Other requests given to the storage at once. Default 32. */
  readonly calls: number
  /** Bytes of WRITEs received and not written. Default 3 MiB. */
  readonly writeBytes: number
}

/** The bounds of a session that names none. */
export const defaultBounds: SessionBounds = {
  handles: 256,
  requests: 1024,
  reads: 4,
  calls: 32,
  writeBytes: 3 * 1024 * 1024,
}
