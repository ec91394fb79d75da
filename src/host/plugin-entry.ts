import type { LogLevel } from '../base/log.ts'
import { slots, type SlotName } from '../slots/index.ts'
import type { ProgramEntry } from './program.ts'

/** One entry of `plugins`, checked and with its defaults where they are the same for all. */
export interface PluginEntry extends ProgramEntry {
  readonly type: SlotName
  /** False: known, listed, not started. Default true. */
  readonly enabled?: boolean
  /** Whether the server may not start without it. Default true. */
  readonly required?: boolean
  /** May run without a checksum, in a host that allows it. Default false. */
  readonly dev?: boolean
  /** Default true. */
  readonly autoMtls?: boolean
  /** As in SFTPGo; default: the prefix derived from `cmd`. */
  readonly envPrefix?: string
  readonly envVars?: readonly string[]
  /** Default: what the host says. */
  readonly runFrom?: 'memory' | 'file' | undefined
  /** The least important of its lines that are written; `trace` lists every call too. Default info. */
  readonly logLevel?: LogLevel
  /** Default: the slot's own. */
  readonly callTimeoutMs?: number | undefined
  readonly unknownStatus?: 'refusal' | 'failure' | undefined
  readonly limits?: PluginLimits
  /** The user of this machine that its process runs as. Default: the server's own. */
  readonly runAs?: string | undefined
  readonly settings?: Readonly<Record<string, unknown>> | undefined
  /** When it cannot answer. `allow` is for ipfilter, `next` for auth. Default refuse. */
  readonly whenDown?: 'refuse' | 'allow' | 'next' | undefined
  /** When it refuses; auth only. Default refuse. */
  readonly whenRefused?: 'refuse' | 'next' | undefined
  /** `auth_options.scope`: 1 password, 2 public key, 4 keyboard-interactive, 8 certificate. */
  readonly scope?: number
  /** `kms_options`: which secrets it keeps. Unique among all entries. */
  readonly keeper?: { readonly scheme: string; readonly encryptedStatus: string }
}

/** What a plugin may take. */
export interface PluginLimits {
  /** Most resident memory; 0 or absent: no limit. */
  readonly memoryBytes?: number
  /** Most open files, and most processes of its user; absent: what the server itself may. */
  readonly files?: number | undefined
  readonly processes?: number | undefined
  /** Most calls at once. Default 64. */
  readonly calls?: number
  /** Most calls in line. Default 1024. */
  readonly queue?: number
}

/** How long one call to this plugin may take. */
export function callTimeoutOf(entry: PluginEntry): number {
  return entry.callTimeoutMs ?? slots[entry.type].callTimeoutMs
}

/** Whether two entries ask for the same process: what differs otherwise is applied while it runs. */
export function sameProcess(a: PluginEntry, b: PluginEntry): boolean {
  return processKey(a) === processKey(b)
}

function processKey(entry: PluginEntry): string {
  const {
    type,
    cmd,
    args,
    sha256sum,
    interpreterSha256,
    autoMtls,
    envPrefix,
    envVars,
    runFrom,
    settings,
    dev,
  } = entry
  return JSON.stringify([
    ...[type, cmd, args, sha256sum?.toLowerCase(), interpreterSha256?.toLowerCase(), autoMtls ?? true],
    ...[envPrefix ?? '', envVars ?? [], runFrom, settings, dev ?? false, entry.callTimeoutMs],
    ...[entry.unknownStatus, entry.limits, entry.runAs],
  ])
}
