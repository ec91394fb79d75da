import { randomFillSync } from 'node:crypto'
import type { Clock } from '../base/clock.ts'

/**
 * Makes ids of events: UUIDs of version 7. Ids of one maker sort as they were made, also when the clock stands
 * still or goes back.
 */
export function createEventIds(clock: Pick<Clock, 'now'>): () => string {
  // Random bytes in advance: asking for ten at a time costs more than the rest of the id.
  const bytes = Buffer.alloc(1024)
  let pool = ''
  let lastMs = 0
  let counter = 0
  return () => {
    const now = clock.now()
    if (now > lastMs) {
      lastMs = now
      counter = 0
    } else {
      counter += 1
    }
    if (counter > 0xfff) {
      // The next millisecond is borrowed: order matters more than the last digit of the time.
      lastMs += 1
      counter = 0
    }
    if (pool === '') pool = randomFillSync(bytes).toString('hex')
    const time = lastMs.toString(16).padStart(12, '0')
    const random = pool.slice(0, 16)
    pool = pool.slice(16)
    const variant = ((Number.parseInt(random[0] ?? '0', 16) & 0x3) | 0x8).toString(16)
    const count = counter.toString(16).padStart(3, '0')
    return `${time.slice(0, 8)}-${time.slice(8)}-7${count}-${variant}${random.slice(1, 4)}-${random.slice(4)}`
  }
}
