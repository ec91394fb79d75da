import type { Clock } from '../base/clock.ts'
import { PluginError, type PluginErrorCode } from '../base/errors.ts'
import type { CallDescription } from '../wire/client.ts'

/** How many calls at once, how many in line, and who hears how they end. */
export interface CallGateOptions {
  readonly name: string
  readonly atOnce: number
  readonly inLine: number
  /** Longest wait in line. */
  readonly timeoutMs: number
  readonly clock: Clock
  /** Told after each call that reached the plugin. */
  readonly onEnd: (call: EndedCall) => void
  /** Told of each call that never did, because too many were there before it or nobody waited any more. */
  readonly onTurnedAway: (why: PluginErrorCode) => void
}

/** A call that is over. */
export interface EndedCall {
  readonly service: string
  readonly method: string
  readonly tookMs: number
  /** `answered`, or why not. */
  readonly outcome: 'answered' | PluginErrorCode
}

/** Bounds the calls to one plugin: so many at once, so many in line, none for ever. */
export interface CallGate {
  readonly around: <T>(call: CallDescription, run: () => Promise<T>) => Promise<T>
  readonly running: number
  readonly waiting: number
  /** No new calls from now on; those in line fail. Resolves when those under way have ended. */
  close(reason: PluginError): Promise<void>
}

/** Creates a gate. First come, first served. */
export function createCallGate(options: CallGateOptions): CallGate {
  const { name, atOnce, inLine, timeoutMs, clock, onEnd, onTurnedAway } = options
  const line = new Set<Waiting>()
  let running = 0
  let closed: PluginError | undefined
  let idle = (): void => {}

  const run = async <T>({ service, method }: CallDescription, task: () => Promise<T>): Promise<T> => {
    const began = clock.monotonic()
    let outcome: EndedCall['outcome'] = 'answered'
    try {
      return await task()
    } catch (error) {
      outcome = error instanceof PluginError ? error.code : 'failed'
      throw error
    } finally {
      onEnd({ service, method, tookMs: clock.monotonic() - began, outcome })
      const [next] = line
      // The place passes on at once: a newcomer must not slip in between.
      if (next !== undefined) next.start()
      else running -= 1
      if (running === 0) idle()
    }
  }

  return {
    async around(call, task) {
      if (closed !== undefined) throw closed
      if (running < atOnce) {
        running += 1
        return run(call, task)
      }
      try {
        if (line.size >= inLine)
          throw new PluginError(
            'overloaded',
            `"${name}" has ${inLine} calls in line, as many as limits.queue allows`,
          )
        await turn({ line, timeoutMs, clock, signal: call.options?.signal, name })
      } catch (error) {
        onTurnedAway(error instanceof PluginError ? error.code : 'failed')
        throw error
      }
      return run(call, task)
    },
    get running() {
      return running
    },
    get waiting() {
      return line.size
    },
    close(reason) {
      closed ??= reason
      for (const waiting of [...line]) waiting.fail(reason)
      if (running === 0) return Promise.resolve()
      return new Promise((resolve) => {
        idle = resolve
      })
    },
  }
}

interface Waiting {
  start(): void
  fail(reason: PluginError): void
}

/** A place in line. Resolves when it is its turn. */
function turn(place: {
  readonly line: Set<Waiting>
  readonly timeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
  readonly name: string
}): Promise<void> {
  const { line, timeoutMs, clock, signal, name } = place
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      line.delete(waiting)
      cancel()
      signal?.removeEventListener('abort', abort)
    }
    const waiting: Waiting = {
      start() {
        leave()
        resolve()
      },
      fail(reason) {
        leave()
        reject(reason)
      },
    }
    const abort = (): void =>
      waiting.fail(new PluginError('cancelled', `Nobody waits for "${name}" any more`))
    const cancel = clock.after(timeoutMs, () =>
      waiting.fail(
        new PluginError('overloaded', `"${name}" was too busy to be asked within ${timeoutMs} ms`),
      ),
    )
    line.add(waiting)
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted === true) abort()
  })
}
