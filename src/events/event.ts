import type { VirtualPath } from '../base/virtual-path.ts'

/** What a person did with a file, in SFTPGo's words. */
export type FileAction =
  | 'upload'
  | 'download'
  | 'first-upload'
  | 'first-download'
  | 'delete'
  | 'rename'
  | 'mkdir'
  | 'rmdir'
  | 'copy'
  | 'ssh_cmd'
  | 'pre-upload'
  | 'pre-download'
  | 'pre-delete'

/** 1 done, 2 failed or interrupted, 3 over quota: SFTPGo's numbers. */
export type EventStatus = 1 | 2 | 3

/** What happened to a file. Paths are bytes, one per character; they are decoded only for plugins and people. */
export interface FileEvent {
  readonly kind: 'file'
  readonly action: FileAction
  readonly username: string
  readonly role: string
  readonly path: VirtualPath
  readonly targetPath?: VirtualPath
  /** Where the bytes lie on the machine, one character per byte. */
  readonly storagePath: string
  readonly storageTargetPath?: string
  readonly size: number
  readonly status: EventStatus
  readonly protocol: string
  readonly address: string
  readonly sessionId: string
  readonly filesystemProvider: number
  /** SFTPGo's number for the flags of an open, on pre-upload of an existing file only. */
  readonly openFlags: number
  readonly elapsedMs: number
  /** The name of a command over SSH, without its arguments. */
  readonly sshCommand?: string
  /** Where a cloud backend keeps it. */
  readonly bucket?: string
  readonly endpoint?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** A change of an account, a folder, a group or an address list. */
export interface ProviderEvent {
  readonly kind: 'provider'
  readonly action: 'add' | 'update' | 'delete'
  readonly objectType: string
  readonly objectName: string
  /** The object as JSON, confidential parts hidden. */
  readonly objectData: string
  readonly username: string
  readonly address: string
  readonly role: string
}

/** 1 login failed, 2 unknown user, 3 no login tried, 4 negotiation failed, 5 login succeeded. */
export type LogEventNumber = 1 | 2 | 3 | 4 | 5

/** Something about a connection that notifiers may want to know. */
export interface LogEvent {
  readonly kind: 'log'
  readonly event: LogEventNumber
  readonly username: string
  readonly protocol: string
  readonly address: string
  readonly message: string
}

/** Everything that can be told. */
export type ServerEvent = FileEvent | ProviderEvent | LogEvent
