import type { Clock } from '../base/clock.ts'
import { messageOf, PluginError, type PluginErrorCode } from '../base/errors.ts'
import type { Call } from '../slots/call.ts'
import type { AskedNotifier, Notifier } from '../slots/notifier/contract.ts'
import { callMetadataOf, fileNoticeOf, logNoticeOf, providerNoticeOf } from './notice.ts'
import type { NotifierEntry } from './notifier-entry.ts'
import type { OwedRow } from './outbox.ts'
import { quickMs } from './pace.ts'
import { eventOf, isOfFiles } from './stored-event.ts'
import type { RelayTarget, TellFailure, TellOutcome } from './telling.ts'
import { withinTime } from './within-time.ts'

/** SFTPGo's plugins answer within this or not at all. */
const defaultTimeoutMs = 20_000

/** Most events of one user in one call; fewer where they could not all be in time. */
const mostTogether = 32

/** One configured notifier as the relay tells it: contract words, a deadline, and outcomes instead of errors. */
export function createNotifierTarget(entry: NotifierEntry, clock: Clock): RelayTarget {
  const { timeoutMs = defaultTimeoutMs, parkAfterMs, alarmAbove } = entry.delivery ?? {}
  const inTime = Math.max(1, Math.min(mostTogether, Math.floor(timeoutMs / (4 * quickMs))))
  return {
    name: entry.name,
    atOnce: entry.delivery?.atOnce ?? 32,
    maxAttempts: entry.delivery?.maxAttempts ?? 10,
    ...(parkAfterMs === undefined ? {} : { parkAfterMs }),
    ...(alarmAbove === undefined ? {} : { alarmAbove }),
    isReady: () => entry.notifier() !== undefined,
    mostTogether: (stream) => (isOfFiles(stream) && entry.notifier()?.notifyFiles !== undefined ? inTime : 1),
    async tell(rows, attempt, signal) {
      const notifier = entry.notifier()
      const [row] = rows
      if (notifier === undefined || row === undefined)
        return { told: 0, failure: notReached('No notifier is ready') }
      try {
        return await withinTime(clock, timeoutMs, signal, (given) =>
          rows.length > 1 && tellsMany(notifier)
            ? tellTogether(notifier, rows, given)
            : tellOne(notifier, row, { signal: given, metadata: callMetadataOf(row.id, attempt) }),
        )
      } catch (error) {
        return { told: 0, failure: failureOf(error) }
      }
    },
  }
}

type TellsMany = Required<Pick<AskedNotifier, 'notifyFiles'>>

function tellsMany(notifier: Partial<TellsMany>): notifier is TellsMany {
  return notifier.notifyFiles !== undefined
}

async function tellTogether(
  notifier: TellsMany,
  rows: readonly OwedRow[],
  signal: AbortSignal,
): Promise<TellOutcome> {
  const notices = rows.flatMap((row) => {
    const event = eventOf(row)
    // `mostTogether` is above 1 for streams of nothing else.
    return event.kind === 'file' ? [fileNoticeOf(event, row)] : []
  })
  const { taken, failure } = await notifier.notifyFiles(notices, { signal })
  return { told: taken, ...(failure !== undefined && { failure: failureOf(failure) }) }
}

async function tellOne(notifier: Notifier, row: OwedRow, call: Call): Promise<TellOutcome> {
  const event = eventOf(row)
  switch (event.kind) {
    case 'file': {
      const refusal = await notifier.notifyFile?.(fileNoticeOf(event, row), call)
      if (refusal === undefined) return { told: 1 }
      return { told: 0, failure: { unavailable: false, counts: true, reason: refusal.reason } }
    }
    case 'provider':
      await notifier.notifyProvider?.(providerNoticeOf(event, row), call)
      return { told: 1 }
    case 'log':
      await notifier.notifyLog?.(logNoticeOf(event, row), call)
      return { told: 1 }
  }
}

/** The call never reached the plugin. */
const notReachedCodes: readonly PluginErrorCode[] = [
  ...([
    'not-ready',
    'connection-refused',
    'stopped',
    'cancelled',
    'overloaded',
    'too-many-restarts',
  ] as const),
  ...(['start-timeout', 'bad-handshake', 'checksum-mismatch', 'checksum-missing', 'not-found'] as const),
]
/** The plugin went away with the call in its hands: perhaps because of this event. */
const lostCodes: readonly PluginErrorCode[] = ['exited', 'hung', 'memory-limit']

function failureOf(error: unknown): TellFailure {
  const reason = messageOf(error)
  if (!(error instanceof PluginError)) return { unavailable: false, counts: true, reason }
  if (notReachedCodes.includes(error.code)) return notReached(reason)
  return { unavailable: lostCodes.includes(error.code), counts: true, reason }
}

function notReached(reason: string): TellFailure {
  return { unavailable: true, counts: false, reason }
}
