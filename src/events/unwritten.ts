import type { Clock } from '../base/clock.ts'
import type { Soon } from '../base/soon.ts'
import type { FileEvent } from './event.ts'

/** Events whose effect took place but which could not be written down: tried again until they are. */
export interface Unwritten {
  readonly size: number
  /** Takes one more. Beyond a bound it is left to the next start, which finds its intent. */
  keep(id: string, event: FileEvent, createdMs: number): void
  /** Tries now. */
  retry(): Promise<void>
  close(): void
}

const everyMs = 1_000
const most = 10_000

/** Creates the list. `write` writes one event down and may be called again for it. */
export function createUnwritten(
  clock: Clock,
  write: (id: string, event: FileEvent, createdMs: number) => Soon<void>,
): Unwritten {
  const kept = new Map<string, { readonly event: FileEvent; readonly createdMs: number }>()
  let cancel: (() => void) | undefined
  const schedule = (): void => {
    cancel ??= clock.after(everyMs, () => {
      cancel = undefined
      void retry().then(() => {
        if (kept.size > 0) schedule()
      })
    })
  }
  return {
    get size() {
      return kept.size
    },
    keep(id, event, createdMs) {
      if (kept.size >= most) return
      kept.set(id, { event, createdMs })
      schedule()
    },
    retry,
    close() {
      cancel?.()
    },
  }

  async function retry(): Promise<void> {
    for (const [id, { event, createdMs }] of kept) {
      try {
        await write(id, event, createdMs)
        kept.delete(id)
      } catch {
        // The next round, or the next start: the intent is still written down.
        return
      }
    }
  }
}
