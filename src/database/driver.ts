import { createRequire } from 'node:module'
import { ConfigError } from '../base/errors.ts'
import { openConnection, type DriverName } from './connection.ts'

/** What loads a library from where this program is installed, in any thread. */
export const requireHere = createRequire(import.meta.url)

/** Finds the library that opens SQLite here. Tried, never told from a version. */
export function findDriver(): DriverName {
  const failures: unknown[] = []
  for (const driver of ['node:sqlite', 'libsql'] as const) {
    try {
      const connection = openConnection(requireHere, driver, ':memory:')
      const row = connection.prepare('select ? as one').get(['x'])
      connection.close()
      if (row?.['one'] === 'x') return driver
    } catch (error) {
      failures.push(error)
    }
  }
  throw new ConfigError(
    'unsupported-platform',
    'Cannot open a database: this Node has no SQLite of its own and the optional package "libsql" is not installed',
    { cause: new AggregateError(failures) },
  )
}
