import { setMaxListeners } from 'node:events'
import type { Clock } from '../base/clock.ts'
import { PluginError } from '../base/errors.ts'

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
