import type { Clock } from '../base/clock.ts'

/** Keeps a stream of bytes at a rate. */
export interface Pacer {
  /** Counts bytes that have just moved; undefined when on time, else resolves when the next may move. */
  moved(bytes: number): Promise<void> | undefined
  /** Nobody waits any more, now or later. */
  stop(): void
}

/** Creates a pacer for `kilobytesPerSecond`; undefined for 0, which is no limit. */
export function createPacer(kilobytesPerSecond: number, clock: Clock): Pacer | undefined {
  if (kilobytesPerSecond <= 0) return undefined
  const millisecondsPerByte = 1 / (kilobytesPerSecond * 1.024)
  let free = clock.monotonic()
  let stopped = false
  const waiting = new Set<() => void>()
  return {
    moved(bytes) {
      const now = clock.monotonic()
      free = Math.max(free, now - burstMs) + bytes * millisecondsPerByte
      const early = free - now
      if (early < burstMs || stopped) return undefined
      return new Promise((resolve) => {
        const goOn = (): void => {
          callOff()
          waiting.delete(goOn)
          resolve()
        }
        const callOff = clock.after(early, goOn)
        waiting.add(goOn)
      })
    },
    stop() {
      stopped = true
      for (const goOn of waiting) goOn()
    },
  }
}

/** Debts smaller than this are not worth a timer. */
const burstMs = 20
