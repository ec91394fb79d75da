import { FileError } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Database } from '../database/open-database.ts'

/** How much room events may take. */
export interface BudgetOptions {
  readonly database: Database
  readonly clock: Clock
  /** Bytes of the database that are in use at most. */
  readonly mostBytes: number
  /** Bytes that are on their way there. Default none. */
  readonly underwayBytes?: () => number
  /** Called each time something is refused for want of room. */
  readonly onRefused?: () => void
}

/** The room that events take. */
export interface Budget {
  /** Looked up anew each time. */
  readonly usedBytes: number
  readonly isFull: boolean
  /** Bytes that may be in use. */
  readonly mostBytes: number
  /** Throws `no-space` when an upload may not begin. */
  admitUpload(): void
  /** Throws `no-space` when nothing at all can be written down any more. */
  admitOther(): void
  /** Whether an event that promises nothing is written down. */
  admitsBestEffort(): boolean
}

/** What is left for deletes and renames when uploads are refused already: they are how people make room. */
const reserve = 0.05
const leastReserveBytes = 2 ** 20
/** How long a look at the database is believed when an operation asks. */
const freshMs = 50

/** Watches how much of the database is in use. */
export function createBudget(options: BudgetOptions): Budget {
  const { database, clock, mostBytes, underwayBytes = () => 0, onRefused = () => {} } = options
  const usage = database.query<{ used: number }>(
    `select (page_count - freelist_count) * page_size as used
      from pragma_page_count, pragma_freelist_count, pragma_page_size`,
  )
  let lookedAt = -Infinity
  let used = 0
  const look = (): number => {
    used = usage.get()?.used ?? 0
    lookedAt = clock.monotonic()
    return used
  }
  const usedNow = (): number => underwayBytes() + (clock.monotonic() - lookedAt < freshMs ? used : look())
  const admit = (most: number): void => {
    if (usedNow() <= most) return
    onRefused()
    throw new FileError('no-space', 'Cannot write an event down: the disk budget of events is used up')
  }
  return {
    mostBytes,
    get usedBytes() {
      return look()
    },
    get isFull() {
      return look() > mostBytes
    },
    admitUpload: () => admit(mostBytes),
    admitOther: () => admit(mostBytes + Math.max(mostBytes * reserve, leastReserveBytes)),
    admitsBestEffort: () => usedNow() <= mostBytes,
  }
}
