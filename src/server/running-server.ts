import type { Closable } from '../base/scope.ts'
import type { Config } from '../config/load-config.ts'
import type { Problem } from '../config/problems.ts'
import type { ObservedCall } from '../host/observed-call.ts'
import type { LogLevel } from '../base/log.ts'
import type { ProgramLogger } from '../telemetry/logger.ts'

/** A server that runs: what `createServer` returns. */
export interface RunningServer extends Closable {
  /** Where it listens, with the ports that were really taken. */
  readonly addresses: readonly ListenAddress[]
  readonly hostKeys: readonly HostKeyInfo[]
  /** The account made because this was the first start, with the one chance to see its password. */
  readonly firstAccount: FirstAccount | undefined
  readonly log: ProgramLogger
  status(): ServerStatus
  /** Reads the configuration again. Mistakes leave everything as it was. */
  reload(): Promise<ReloadOutcome>
  /** Stops accepting, lets transfers finish for `graceMs` (default `common.grace_time`), stops plugins last. */
  close(graceMs?: number): Promise<void>
}

/** An address and port. */
export interface ListenAddress {
  readonly address: string
  readonly port: number
}

/** A host key as people compare it. */
export interface HostKeyInfo {
  readonly type: string
  readonly fingerprint: string
}

/** The account of a first start. */
export interface FirstAccount {
  readonly username: string
  readonly password: string
  readonly home: string
}

/** How a server is started. */
export interface ServerOptions {
  readonly config: Config
  /** Over `log.level`. */
  readonly logLevel?: LogLevel
  /** Entries marked `dev` may go without a checksum; listens on loopback only. Default false. */
  readonly devPlugins?: boolean
  /** Starts only plugins that the lock file names. Default false. */
  readonly frozen?: boolean
  /** For a throw-away server in which somebody writes a plugin. Default: none of it. */
  readonly workshop?: Workshop
  /** Makes no first account: there is nobody to whom its password could be shown. Default false. */
  readonly withoutFirstAccount?: boolean
  /** Whoever fires this before the server is ready does not want it any more: what was opened is closed, and the start throws. */
  readonly signal?: AbortSignal
  /** Default: one on standard error, closed with the server. */
  readonly log?: ProgramLogger
}

/** What makes a server a workshop. */
export interface Workshop {
  /** Hears of every call to a plugin, with all that is in it. */
  readonly onCall: (call: ObservedCall) => void
  /** Whether plugins may stand still: in a debugger. */
  readonly patient: boolean
  /** Keeps the files of everybody in memory. */
  readonly filesInMemory: boolean
}

/** What became of a reload. */
export type ReloadOutcome =
  | {
      readonly ok: true
      readonly changed: readonly string[]
      readonly needRestart: readonly string[]
      readonly notReady: readonly PluginNotReady[]
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** A plugin that did not become ready when the configuration was taken over. */
export interface PluginNotReady {
  readonly name: string
  readonly reason: string
  /** Whether the process of before goes on. */
  readonly oldRuns: boolean
}

/** How a part of a server is. */
export interface PartState {
  readonly ready: boolean
  /** Whether the server is not ready without it. */
  readonly required: boolean
  readonly detail: string
}

/** How a server is, for `status` and `/readyz`. */
export interface ServerStatus {
  readonly pid: number
  readonly version: string
  readonly startedAt: string
  readonly configuration: string
  readonly listening: readonly ListenAddress[]
  readonly connections: number
  readonly sessions: number
  readonly logLevel: LogLevel
  readonly droppedLogLines: number
  readonly lastReload: { readonly at: string; readonly ok: boolean; readonly message: string } | undefined
  /** Settings that were changed since the start and wait for a restart. */
  readonly needRestart: readonly string[]
  /** Whether the server can do its work: every part that is required is ready. */
  readonly ready: boolean
  /** Each part by name: slots, database, disk, events. */
  readonly parts: Readonly<Record<string, PartState>>
}
