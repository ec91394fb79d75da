import { ConfigError } from '../base/errors.ts'
import type { Connection } from './connection.ts'
import type { Migration } from './migrations/migration.ts'

/** Brings a database to the newest shape, each step in a transaction of its own. Refuses one it does not know. */
export function migrate(connection: Connection, path: string, steps: readonly Migration[]): void {
  connection.exec('begin immediate')
  try {
    const done = stepsDone(connection, path)
    checkHistory(done, path, steps)
    for (const step of steps.slice(done.length)) {
      connection.exec(step.sql)
      connection
        .prepare('insert into migration (name, applied_ms) values (?, ?)')
        .run([step.name, Date.now()])
    }
    connection.exec('commit')
  } catch (error) {
    rollBack(connection)
    throw error
  }
}

/** The names of the steps a database has behind it; makes the list in an empty one. */
function stepsDone(connection: Connection, path: string): string[] {
  const tables = connection.prepare("select name from sqlite_master where type = 'table'").all([])
  if (!tables.some(({ name }) => name === 'migration')) {
    if (tables.length > 0)
      throw new ConfigError('conflict', `Cannot use "${path}": it is a database of another program`)
    connection.exec(
      'create table migration (position integer primary key, name text not null, applied_ms integer not null) strict',
    )
  }
  return connection
    .prepare('select name from migration order by position')
    .all([])
    .map(({ name }) => String(name))
}

function checkHistory(done: readonly string[], path: string, steps: readonly Migration[]): void {
  const unknown = done.find((name, index) => steps[index]?.name !== name)
  if (unknown === undefined) return
  throw new ConfigError(
    'conflict',
    `Cannot use "${path}": it was changed by a newer version of this program (step "${unknown}")`,
  )
}

function rollBack(connection: Connection): void {
  try {
    connection.exec('rollback')
  } catch {
    // SQLite has given the transaction up by itself; the first error says why.
  }
}
