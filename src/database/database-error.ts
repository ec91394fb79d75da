/** Why the database could not do what it was asked. */
export type DatabaseErrorCode =
  | 'full'
  | 'busy'
  | 'corrupt'
  | 'read-only'
  | 'constraint'
  | 'input-output'
  | 'overloaded'
  | 'closed'
  | 'failed'

/**
 * The database could not read or write. What was not acknowledged is not written, with one exception: after
 * `input-output` and `failed` of the writer the outcome is unknown.
 *
 * Its callers inside the program turn it into the error of their own edge (`FileError`, a login's verdict).
 */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError'
  readonly code: DatabaseErrorCode

  constructor(code: DatabaseErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** SQLite's primary result codes that callers can react to; every other one is `failed`. */
const codes: Readonly<Record<number, DatabaseErrorCode>> = {
  5: 'busy',
  6: 'busy',
  8: 'read-only',
  10: 'input-output',
  11: 'corrupt',
  13: 'full',
  14: 'input-output',
  19: 'constraint',
  26: 'corrupt',
}

/** Makes a `DatabaseError` out of what a driver threw or the writer reported. */
export function databaseErrorOf(action: string, error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error
  const { sqliteCode } = (error ?? {}) as { readonly sqliteCode?: unknown } // looked at before it is used
  const code = typeof sqliteCode === 'number' ? (codes[sqliteCode & 0xff] ?? 'failed') : 'failed'
  const text = error instanceof Error ? error.message : String(error)
  return new DatabaseError(code, `Cannot ${action}: ${text}`, { cause: error })
}
