import type { Clock } from '../base/clock.ts'
import type { Database } from '../database/open-database.ts'
import type { Step } from '../database/writer.ts'
import { decodeBase32, stepOfCode, totpStepAt, type TotpAlgorithm } from './totp.ts'

/** Checks one-time codes: each is good once, also across a restart, and nobody gets to try many. */
export interface OneTimeCodes {
  /**
   * Whether `code` is the user's code now, a step before or after, not used before, and not one try too many.
   * Throws a `DatabaseError` when it cannot be written down that the code is used.
   */
  check(username: string, code: string, secret: string, algorithm: TotpAlgorithm): Promise<CodeCheck>
}

/** What came of a check; the reason is for the log. */
export type CodeCheck = { readonly accepted: true } | { readonly accepted: false; readonly reason: string }

/** Tries within `throttleMs` after which a user's codes are not looked at: guessing needs hundreds of thousands. */
const mostFailures = 5
const throttleMs = 5 * 60_000
/** A user's row is needed no longer once every code that it speaks of is too old: a few steps, with some to spare. */
const stepsKept = 20

interface CodeRow {
  readonly used_step: number
  readonly failures: number
  readonly until_ms: number
}

/**
 * Creates the checker. The database decides, in the order in which codes came: of the same code on a hundred
 * connections at once one is accepted, and a right guess after too many wrong ones is not.
 */
export function createOneTimeCodes(database: Database, clock: Pick<Clock, 'now'>): OneTimeCodes {
  const rowOf = database.query<CodeRow>(
    'select used_step, failures, until_ms from account_code where username = ?',
  )
  const tooMany = (username: string, now: number): boolean => {
    const row = rowOf.get(username)
    return row !== undefined && row.failures >= mostFailures && row.until_ms > now
  }
  const fail = async (username: string, now: number, reason: string): Promise<CodeCheck> => {
    await database.writer.write([failureStep(username, now)])
    return { accepted: false, reason }
  }
  return {
    async check(username, code, secret, algorithm) {
      const now = clock.now()
      const throttled: CodeCheck = { accepted: false, reason: 'Too many wrong codes' }
      if (tooMany(username, now)) return throttled
      const key = decodeBase32(secret)
      if (key === undefined || key.length === 0)
        return { accepted: false, reason: 'The secret is not base32' }
      const current = totpStepAt(now)
      const step = stepOfCode(code, key, { current, algorithm })
      if (step === undefined) return fail(username, now, 'The code is wrong')
      const { applied } = await database.writer.write([
        useStep(username, { step, current, now }),
        {
          sql: 'delete from account_code where used_step < ? and until_ms <= ?',
          values: [current - stepsKept, now],
        },
      ])
      if (applied) return { accepted: true }
      return tooMany(username, now) ? throttled : fail(username, now, 'The code was used before')
    },
  }
}

/** Applies only where the code is neither used nor one try too many. */
function useStep(
  username: string,
  { step, current, now }: { readonly step: number; readonly current: number; readonly now: number },
): Step {
  return {
    // A step of the future was used while the clock was wrong, and must not lock the user out until then.
    sql: `insert into account_code (username, used_step, failures, until_ms) values (?, ?, 0, 0)
          on conflict (username) do update set used_step = excluded.used_step, failures = 0, until_ms = 0
          where (used_step < excluded.used_step or used_step > ?) and (failures < ? or until_ms <= ?)`,
    values: [username, step, current + 1, mostFailures, now],
    mustChange: true,
  }
}

function failureStep(username: string, now: number): Step {
  return {
    sql: `insert into account_code (username, used_step, failures, until_ms) values (?, 0, 1, ?)
          on conflict (username) do update set
          failures = case when until_ms > ? then failures + 1 else 1 end,
          until_ms = case when until_ms > ? then until_ms else excluded.until_ms end`,
    values: [username, now + throttleMs, now, now],
  }
}
