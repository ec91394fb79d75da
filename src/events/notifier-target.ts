import { setMaxListeners } from 'node:events'
import type { Clock } from '../base/clock.ts'
import { messageOf, PluginError, type PluginErrorCode } from '../base/errors.ts'
import type { Call, Refusal } from '../slots/call.ts'
import type { Notifier } from '../slots/notifier/contract.ts'
import { callMetadataOf, fileNoticeOf, logNoticeOf, providerNoticeOf } from './notice.ts'
import type { NotifierEntry } from './notifier-entry.ts'
import type { OwedRow } from './outbox.ts'
import type { RelayTarget, TellOutcome } from './relay.ts'
import { eventOfPayload } from './stored-event.ts'

/** SFTPGo's plugins answer within this or not at all. */
const defaultTimeoutMs = 20_000

/** One configured notifier as the relay tells it: contract words, a deadline, and outcomes instead of errors. */
export function createNotifierTarget(entry: NotifierEntry, clock: Clock): RelayTarget {
  const { timeoutMs = defaultTimeoutMs, parkAfterMs, alarmAbove } = entry.delivery ?? {}
  return {
    name: entry.name,
    atOnce: entry.delivery?.atOnce ?? 32,
    maxAttempts: entry.delivery?.maxAttempts ?? 10,
    ...(parkAfterMs === undefined ? {} : { parkAfterMs }),
    ...(alarmAbove === undefined ? {} : { alarmAbove }),
    isReady: () => entry.notifier() !== undefined,
    async tell(row, attempt, signal) {
      try {
        const notifier = entry.notifier()
        if (notifier === undefined) return notReached('No notifier is ready')
        const refusal = await withinTime(clock, timeoutMs, signal, (inTime) =>
          call(notifier, row, { signal: inTime, metadata: callMetadataOf(row.id, attempt) }),
        )
        if (refusal === undefined) return { told: true }
        return { told: false, unavailable: false, counts: true, reason: refusal.reason }
      } catch (error) {
        return outcomeOf(error)
      }
    },
  }
}

/** Asks with a deadline that holds even when the question does not heed its signal. */
export function withinTime<T>(
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const own = new AbortController()
    const stop = (error: PluginError): void => {
      done()
      reject(error)
      own.abort(error)
    }
    const abort = (): void => stop(new PluginError('cancelled', 'The server stops'))
    const cancel = clock.after(timeoutMs, () =>
      stop(new PluginError('deadline', `The notifier did not answer within ${timeoutMs} ms`)),
    )
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', abort)
    }
    if (signal.aborted) return abort()
    // As many listeners as there are calls at once; each goes with its call.
    setMaxListeners(0, signal)
    signal.addEventListener('abort', abort, { once: true })
    ask(own.signal).then(
      (value) => {
        done()
        resolve(value)
      },
      (error: unknown) => {
        done()
        reject(error)
      },
    )
  })
}

async function call(notifier: Notifier, row: OwedRow, how: Call): Promise<Refusal | undefined> {
  const event = eventOfPayload(row.payload)
  switch (event.kind) {
    case 'file':
      // A promise of nothing resolves to undefined.
      return (await notifier.notifyFile?.(fileNoticeOf(event, row), how)) as Refusal | undefined
    case 'provider':
      await notifier.notifyProvider?.(providerNoticeOf(event, row), how)
      return undefined
    case 'log':
      await notifier.notifyLog?.(logNoticeOf(event, row), how)
      return undefined
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

function outcomeOf(error: unknown): TellOutcome {
  const reason = messageOf(error)
  if (!(error instanceof PluginError)) return { told: false, unavailable: false, counts: true, reason }
  if (notReachedCodes.includes(error.code)) return notReached(reason)
  return { told: false, unavailable: lostCodes.includes(error.code), counts: true, reason }
}

function notReached(reason: string): TellOutcome {
  return { told: false, unavailable: true, counts: false, reason }
}
