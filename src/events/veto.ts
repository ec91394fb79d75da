import type { Clock } from '../base/clock.ts'
import { messageOf, PluginError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { FileEvent } from './event.ts'
import { callMetadataOf, fileNoticeOf } from './notice.ts'
import { isPreAction, type NotifierEntry, type VetoOptions } from './notifier-entry.ts'
import { withinTime } from './within-time.ts'

/** What asking needs. */
export interface VetoContext {
  readonly clock: Clock
  readonly log: Logger
  readonly newId: () => string
  /** Fires when the server stops waiting for anybody. */
  readonly signal: AbortSignal
}

/** Who may refuse `event`. */
export function vetoersOf(event: FileEvent, entries: readonly NotifierEntry[]): readonly NotifierEntry[] {
  if (!isPreAction(event.action)) return []
  return entries.filter(({ veto, wants }) => veto !== undefined && wants.files.includes(event.action))
}

/** Asks each of them once, all at the same time; true when nobody refuses. Never asked again, never queued. */
export async function permitted(
  event: FileEvent,
  vetoers: readonly NotifierEntry[],
  context: VetoContext,
): Promise<boolean> {
  const id = context.newId()
  const answers = await Promise.all(vetoers.map((entry) => permits(entry, event, id, context)))
  return answers.every(Boolean)
}

async function permits(
  entry: NotifierEntry,
  event: FileEvent,
  id: string,
  { clock, log, signal }: VetoContext,
): Promise<boolean> {
  const { timeoutMs = 5_000, whenDown = 'refuse', unknownStatus = 'refusal' }: VetoOptions = entry.veto ?? {}
  const about = { notifier: entry.name, action: event.action, username: event.username, event_id: id }
  const cannotAnswer = (reason: string): boolean => {
    log.warn('veto could not be asked', { ...about, reason, when_down: whenDown })
    return whenDown === 'allow'
  }
  try {
    const notifier = entry.notifier()
    if (notifier === undefined) return cannotAnswer('No notifier is ready')
    const notice = fileNoticeOf(event, { id, createdMs: clock.now() })
    const refusal = await withinTime(
      clock,
      timeoutMs,
      signal,
      async (inTime) =>
        await notifier.notifyFile?.(notice, { signal: inTime, metadata: callMetadataOf(id, 1) }),
    )
    if (refusal === undefined) return true
    if (!refusal.certain && unknownStatus === 'failure') return cannotAnswer(refusal.reason)
    log.info('vetoed', { ...about, reason: refusal.reason })
    return false
  } catch (error) {
    if (!isRefusal(error, unknownStatus)) return cannotAnswer(messageOf(error))
    log.info('vetoed', { ...about, reason: messageOf(error) })
    return false
  }
}

/** A status that may mean either arrives as an error: only who asks before an effect may take it for a no. */
function isRefusal(error: unknown, unknownStatus: 'refusal' | 'failure'): boolean {
  if (!(error instanceof PluginError)) return false
  return error.code === 'refused' || (error.code === 'refused-or-failed' && unknownStatus === 'refusal')
}
