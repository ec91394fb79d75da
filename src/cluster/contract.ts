import type { Admission, LoginAnswer, LoginConnection, QuestionPage } from '../accounts/login-conversation.ts'
import type { LogLevel } from '../base/log.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { Config } from '../config/load-config.ts'
import type { FileIntent } from '../events/event-log.ts'
import type { FileAction, FileEvent, LogEvent } from '../events/event.ts'
import type { StoredSecret } from '../secrets/secret.ts'
import type { ConnectionInfo, SshServer } from '../ssh/ssh-server.ts'
import type { Link } from './link.ts'

/** What a worker asks the primary. */
export type AskedOfPrimary = {
  admit: readonly [{ readonly id: string; readonly address: string }, Admission]
  none: readonly [LoginRequest, LoginAnswer]
  password: readonly [LoginRequest & { readonly password: string }, LoginAnswer]
  queryKey: readonly [LoginRequest & KeyFields, LoginAnswer | { readonly verdict: 'would-do' }]
  provedKey: readonly [
    LoginRequest & KeyFields & { readonly signedData: Buffer; readonly signature: Buffer },
    LoginAnswer,
  ]
  dialogue: readonly [LoginRequest, LoginAnswer]
  /** May the person on this connection open a session, and what have they used so far? */
  session: readonly [{ readonly id: string }, SessionEntry]
  intend: readonly [FileIntent, number]
  commit: readonly [{ readonly intent: number; readonly event: FileEvent }, void]
  abandon: readonly [{ readonly intent: number }, void]
  record: readonly [FileEvent, void]
  permits: readonly [FileEvent, boolean]
  secret: readonly [StoredSecret, string]
}

/** What a worker tells the primary. */
export type ToldToPrimary = {
  begin: LoginConnection
  end: { readonly id: string }
  left: { readonly id: string }
  exceeded: { readonly address: string }
  sessionOver: { readonly id: string }
  log: LogEvent
  used: readonly Used[]
  /** Sessions that used this are over. */
  unused: readonly string[]
  first: { readonly username: string; readonly what: FirstTransfer }
  metrics: MetricNews
  board: BoardNews
}

/** What the primary asks a worker. */
export type AskedOfWorker = {
  start: readonly [WorkerStart, StartedWorker]
  /** Listens anew with these settings. */
  replace: readonly [{ readonly config: SentConfig }, StartedWorker]
  connections: readonly [null, readonly ConnectionInfo[]]
  page: readonly [{ readonly id: string; readonly page: QuestionPage }, readonly string[] | null]
  /** Sends what was measured since the last time. */
  measure: readonly [null, WorkerFigures]
  /** Nobody new; resolves when everybody is gone and all is put in order. */
  close: readonly [{ readonly graceMs: number }, void]
}

/** What the primary tells a worker. */
export type ToldToWorker = {
  /** Settings that are read each time they are needed. */
  take: { readonly config: SentConfig; readonly logLevel: LogLevel }
  disconnect: { readonly ids: readonly string[]; readonly text: string }
  wanted: readonly FileAction[]
  usage: readonly UsageNews[]
  board: BoardNews
  /** The marks in the hidden names of all workers that live. */
  lives: readonly string[]
}

/** The primary's end of the line to one worker. */
export type LinkToWorker = Link<AskedOfWorker, ToldToWorker>

/** A worker's end of its line. */
export type LinkToPrimary = Link<AskedOfPrimary, ToldToPrimary>

/** Which connection asks, and for whom. */
export interface LoginRequest {
  readonly id: string
  readonly username: string
}

/** A key as the client sent it. */
export interface KeyFields {
  readonly algorithm: string
  readonly blob: Buffer
}

/** The answer to somebody who opens a session. */
export type SessionEntry =
  | { readonly entered: false }
  | {
      readonly entered: true
      readonly usage: readonly UsageNews[]
      /** Which of the two this user has done before. */
      readonly firsts: readonly FirstTransfer[]
    }

/** Events that a user has once. */
export type FirstTransfer = 'first-upload' | 'first-download'

/** What one worker has used more or less: bytes and files, or bytes sent and fetched. */
export interface Used {
  /** Whose: see `usage-keys`. */
  readonly key: string
  readonly a: number
  readonly b: number
}

/** What everybody else has used. */
export interface UsageNews extends Used {
  /** Whether sessions of another worker count here too. */
  readonly shared: boolean
  /** Grows: what comes late does not replace what is newer. */
  readonly at: number
}

/** Uploads that other workers have to know of. */
export type BoardNews =
  | { readonly of: 'reserved' | 'free'; readonly root: string; readonly final: VirtualPath }
  | { readonly of: 'moved'; readonly root: string; readonly from: VirtualPath; readonly to: VirtualPath }

/** What was measured since the last time. */
export interface MetricNews {
  readonly added: readonly (readonly [
    name: string,
    labels: Readonly<Record<string, string>>,
    amount: number,
  ])[]
  readonly observed: readonly (readonly [
    name: string,
    labels: Readonly<Record<string, string>>,
    seconds: readonly number[],
  ])[]
}

/** How a worker is. */
export interface WorkerFigures {
  readonly residentBytes: number
  readonly cpuSeconds: number
  readonly droppedLogLines: number
}

/** What a worker begins with. */
export interface WorkerStart {
  /** From 1. */
  readonly number: number
  readonly config: SentConfig
  readonly loopbackOnly: boolean
  readonly logLevel: LogLevel
  readonly wanted: readonly FileAction[]
  /** Marks the hidden names of this life of the worker. */
  readonly life: string
}

/** What a worker listens with. */
export type StartedWorker = Pick<SshServer, 'addresses' | 'status'>

/** A configuration without what workers have no business with: plugins, keys of secrets, the environment. */
export type SentConfig = Pick<Config, 'file' | 'folder' | 'stateFolder' | 'settings'>
