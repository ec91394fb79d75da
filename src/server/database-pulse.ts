import { delay } from '../base/deadline.ts'
import { messageOf } from '../base/errors.ts'
import type { Database } from '../database/open-database.ts'

/** Whether the database can be read and written right now. */
export interface DatabasePulse {
  /** What the last `take` found; ready before the first. */
  state(): { readonly ready: boolean; readonly detail: string }
  /** Reads and writes once; returns when that is done, after five seconds in any case. */
  take(): Promise<void>
}

/** A write that waits longer shows that the writer hangs, or that somebody else holds the lock. */
const longestMs = 5_000
/** Takes the writer's lock and changes nothing. */
const noChange = { sql: 'update migration set position = position where 0' } as const

/** Creates the pulse of a database. Whoever asks while a write is under way waits for that one. */
export function createDatabasePulse(
  { query, writer, driver }: Pick<Database, 'query' | 'writer' | 'driver'>,
  waitMs = longestMs,
): DatabasePulse {
  const read = query<{ readonly name: string }>('select name from migration limit 1')
  const well = { ready: true, detail: driver }
  let last: ReturnType<DatabasePulse['state']> = well
  let underway: Promise<void> | undefined

  async function beat(): Promise<void> {
    try {
      read.get()
      await writer.write([noChange], { durable: false })
      last = well
    } catch (error) {
      last = { ready: false, detail: messageOf(error) }
    }
  }

  return {
    state: () => last,
    async take() {
      const beating = (underway ??= beat().finally(() => {
        underway = undefined
      }))
      const enough = new AbortController()
      await Promise.race([beating, delay(waitMs, enough.signal)])
      enough.abort()
      if (underway === beating)
        last = { ready: false, detail: `a write waits for more than ${waitMs / 1000} s` }
    },
  }
}
