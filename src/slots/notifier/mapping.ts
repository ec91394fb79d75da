import type { EventsInOrderDefinition } from '../../gen/slots/events_in_order.ts'
import type { FsEvent, LogEvent, NotifierDefinition, ProviderEvent } from '../../gen/slots/notifier.ts'
import { PluginError } from '../../base/errors.ts'
import type { Caller, Handlers } from '../../wire/service.ts'
import { missing, refusalError, refusalOrValue, valueOrFailure } from '../answer.ts'
import type { Call, Refusal } from '../call.ts'
import type { Reading } from '../slot.ts'
import type { AskedNotifier, FileNotice, LogNotice, Notifier, ProviderNotice } from './contract.ts'
import { answerInOrder, askInOrder } from './in-order.ts'

/** A notifier over a connection; `together` where the plugin announced that service. */
export function askNotifier(
  caller: Caller<NotifierDefinition>,
  reading: Reading = {},
  together?: Caller<EventsInOrderDefinition>,
): AskedNotifier {
  return {
    ...(together !== undefined && {
      notifyFiles: (notices, call) => askInOrder(together, notices.map(fsEventOf), call),
    }),
    notifyFile: async (notice, call) => fileAnswer(caller.sendFsEvent(fsEventOf(notice), call), reading),
    async notifyProvider(notice, call) {
      await valueOrFailure(caller.sendProviderEvent(providerEventOf(notice), call))
    },
    async notifyLog(notice, call) {
      await valueOrFailure(caller.sendLogEvent(logEventOf(notice), call))
    },
  }
}

/** The service that an author's notifier makes. */
export function answerAsNotifier(api: Notifier): Handlers<NotifierDefinition> {
  return {
    async sendFsEvent(event, call) {
      await takeFileEvent(api, event, call)
      return {}
    },
    async sendProviderEvent(event, call) {
      if (api.notifyProvider === undefined) throw missing('notifyProvider')
      await api.notifyProvider(providerNoticeFrom(event), call)
      return {}
    },
    async sendLogEvent(event, call) {
      if (api.notifyLog === undefined) throw missing('notifyLog')
      await api.notifyLog(logNoticeFrom(event), call)
      return {}
    },
  }
}

/** The service that takes several events, which calls the same method once for each. */
export function answerTogether(api: Notifier): Handlers<EventsInOrderDefinition> {
  return answerInOrder((event, call) => takeFileEvent(api, event, call))
}

async function takeFileEvent(api: Notifier, event: FsEvent, call: Call): Promise<void> {
  if (api.notifyFile === undefined) throw missing('notifyFile')
  const refusal = await api.notifyFile(fileNoticeFrom(event), call)
  if (refusal !== undefined) throw refusalError(refusal)
}

/**
 * UNKNOWN without a reading is passed on as `refused-or-failed`: for an event that already happened it is a failure
 * to be tried again, for a question before the event it is a no, and only the asker knows which of the two this was.
 */
async function fileAnswer(ask: Promise<unknown>, reading: Reading): Promise<Refusal | void> {
  if (reading.unknownStatus !== undefined) return (await refusalOrValue(ask, reading)).refusal
  try {
    await ask
  } catch (error) {
    if (!(error instanceof PluginError) || error.code !== 'refused') throw error
    return (await refusalOrValue(Promise.reject(error), reading)).refusal
  }
}

function fsEventOf(notice: FileNotice): FsEvent {
  return {
    timestamp: notice.timestamp,
    action: notice.action,
    username: notice.username,
    fsPath: notice.storagePath,
    fsTargetPath: notice.storageTargetPath,
    sshCmd: notice.sshCommand,
    fileSize: notice.size,
    protocol: notice.protocol,
    status: notice.status,
    ip: notice.address,
    virtualPath: notice.path,
    virtualTargetPath: notice.targetPath,
    sessionId: notice.sessionId,
    fsProvider: notice.filesystemProvider,
    bucket: notice.bucket,
    endpoint: notice.endpoint,
    openFlags: notice.openFlags,
    role: notice.role,
    elapsed: notice.elapsedMs,
    metadata: { ...notice.metadata },
  }
}

function fileNoticeFrom(event: FsEvent): FileNotice {
  return {
    timestamp: event.timestamp,
    action: event.action,
    username: event.username,
    storagePath: event.fsPath,
    storageTargetPath: event.fsTargetPath,
    sshCommand: event.sshCmd,
    size: event.fileSize,
    protocol: event.protocol,
    status: event.status,
    address: event.ip,
    path: event.virtualPath,
    targetPath: event.virtualTargetPath,
    sessionId: event.sessionId,
    filesystemProvider: event.fsProvider,
    bucket: event.bucket,
    endpoint: event.endpoint,
    openFlags: event.openFlags,
    role: event.role,
    elapsedMs: event.elapsed,
    metadata: event.metadata,
  }
}

function providerEventOf(notice: ProviderNotice): ProviderEvent {
  const { timestamp, action, objectType, username, address, objectName, objectData, role } = notice
  const data = Buffer.from(objectData.buffer, objectData.byteOffset, objectData.byteLength)
  return { timestamp, action, objectType, username, ip: address, objectName, objectData: data, role }
}

function providerNoticeFrom({ ip, ...event }: ProviderEvent): ProviderNotice {
  return { ...event, address: ip }
}

function logEventOf({ address, ...notice }: LogNotice): LogEvent {
  return { ...notice, ip: address }
}

function logNoticeFrom({ ip, ...event }: LogEvent): LogNotice {
  return { ...event, address: ip }
}
