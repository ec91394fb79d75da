import type { Clock } from '../base/clock.ts'
import { fingerprintOf } from './file-fingerprint.ts'

/** A wait that several things can end. */
export interface Pause {
  /** Ends it now, or before it has begun. */
  end(): void
  /** Resolves when `ms` have passed (never, where undefined), a file changed, or somebody ended it. */
  over(ms: number | undefined, files?: WatchedFiles): Promise<void>
}

/** Files that are looked at again and again, and how they were when they were found wanting. */
export interface WatchedFiles {
  readonly paths: readonly string[]
  readonly everyMs: number
  /** From `fingerprintOf`, taken before the files were read. */
  readonly before: string
}

/** Creates a pause. `signal` ends it too. */
export function createPause(clock: Clock, signal: AbortSignal): Pause {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  signal.addEventListener('abort', end, { once: true, signal: ended.signal })
  if (signal.aborted) end()
  return {
    end,
    async over(ms, files) {
      if (ended.signal.aborted) return
      await new Promise<void>((resolve) => {
        ended.signal.addEventListener('abort', () => resolve(), { once: true })
        if (ms !== undefined) until(ended.signal, clock.after(ms, end))
        if (files !== undefined) look(clock, files, ended.signal, end)
      })
    },
  }
}

function look(clock: Clock, files: WatchedFiles, signal: AbortSignal, end: () => void): void {
  const cancel = clock.after(files.everyMs, () => {
    void fingerprintOf(files.paths).then((now) => {
      if (now !== files.before) end()
      else if (!signal.aborted) look(clock, files, signal, end)
    })
  })
  until(signal, cancel)
}

/** Calls a timer off when the signal fires. */
function until(signal: AbortSignal, cancel: () => void): void {
  signal.addEventListener('abort', cancel, { once: true })
}
