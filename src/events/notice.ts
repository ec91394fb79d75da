import { bytesOf, displayName } from '../base/virtual-path.ts'
import type { FileNotice, LogNotice, ProviderNotice } from '../slots/notifier/contract.ts'
import type { FileEvent, LogEvent, ProviderEvent } from './event.ts'

/** What an event carries beside what happened. */
export interface NoticeIdentity {
  readonly id: string
  /** Grows with each event of this server. Left out for a question that is not written down. */
  readonly seq?: number
  readonly createdMs: number
}

/** What a notifier hears of a file event: names readable everywhere, the exact bytes beside them where they differ. */
export function fileNoticeOf(event: FileEvent, identity: NoticeIdentity): FileNotice {
  const targetPath = event.targetPath ?? ''
  return {
    timestamp: nanoseconds(identity.createdMs),
    action: event.action,
    username: wellFormed(event.username),
    storagePath: displayName(event.storagePath),
    storageTargetPath: displayName(event.storageTargetPath ?? ''),
    sshCommand: wellFormed(event.sshCommand ?? ''),
    size: BigInt(Math.trunc(event.size)),
    protocol: event.protocol,
    status: event.status,
    address: event.address,
    path: displayName(event.path),
    targetPath: displayName(targetPath),
    sessionId: event.sessionId,
    filesystemProvider: event.filesystemProvider,
    bucket: event.bucket ?? '',
    endpoint: event.endpoint ?? '',
    openFlags: event.openFlags,
    role: wellFormed(event.role),
    elapsedMs: BigInt(Math.trunc(event.elapsedMs)),
    metadata: {
      ...event.metadata,
      event_id: identity.id,
      ...(identity.seq === undefined ? {} : { sequence: String(identity.seq) }),
      ...exactBytes('virtual_path_b64', event.path),
      ...exactBytes('virtual_target_path_b64', targetPath),
    },
  }
}

/** What a notifier hears of a change of accounts. */
export function providerNoticeOf(event: ProviderEvent, identity: NoticeIdentity): ProviderNotice {
  return {
    timestamp: nanoseconds(identity.createdMs),
    action: event.action,
    objectType: event.objectType,
    username: wellFormed(event.username),
    address: event.address,
    objectName: wellFormed(event.objectName),
    objectData: Buffer.from(event.objectData, 'utf8'),
    role: wellFormed(event.role),
  }
}

/** What a notifier hears of a connection or a login. */
export function logNoticeOf(event: LogEvent, identity: NoticeIdentity): LogNotice {
  return {
    timestamp: nanoseconds(identity.createdMs),
    event: event.event,
    username: wellFormed(event.username),
    protocol: event.protocol,
    address: event.address,
    message: wellFormed(event.message),
    role: '',
  }
}

/** What travels beside the message: the id that stays the same however often the event is told. */
export function callMetadataOf(id: string, attempt: number): Readonly<Record<string, string>> {
  return { 'event-id': id, 'idempotency-key': id, 'event-attempt': String(attempt) }
}

function nanoseconds(ms: number): bigint {
  return BigInt(Math.trunc(ms)) * 1_000_000n
}

/** Half a surrogate pair cannot be written as UTF-8. */
function wellFormed(text: string): string {
  return /[\ud800-\udfff]/.test(text) ? Buffer.from(text, 'utf8').toString('utf8') : text
}

/** Only for a name that is not UTF-8: there the message shows an escaped form. */
function exactBytes(key: string, path: string): Readonly<Record<string, string>> {
  if (!/[\x80-\xff]/.test(path)) return {}
  const bytes = bytesOf(path)
  return Buffer.from(displayName(path), 'utf8').equals(bytes) ? {} : { [key]: bytes.toString('base64') }
}
