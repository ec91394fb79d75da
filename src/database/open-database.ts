import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import { ConfigError, messageOf } from '../base/errors.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { Scope } from '../base/scope.ts'
import { openConnection, type Connection, type DriverName, type SqlValue } from './connection.ts'
import { databaseErrorOf, type DatabaseErrorCode } from './database-error.ts'
import { findDriver, requireHere } from './driver.ts'
import { migrate } from './migrate.ts'
import { migrations } from './migrations/index.ts'
import type { Migration } from './migrations/migration.ts'
import { GroupWriter, type Writer } from './writer.ts'

/** The one database of the program: reads at once on this thread, writes through the one writer. */
export interface Database {
  /**
   * A prepared read. `R` says what the statement selects: tables are STRICT, so the types of the columns hold.
   * Reads are for points and short pages: they run on the caller's thread.
   */
  query<R extends object>(sql: string): Query<R>
  readonly writer: Writer
  readonly driver: DriverName
  /** Writes what waits and closes; a temporary database is removed. */
  close(): Promise<void>
}

/** A prepared read with positional parameters. Throws `DatabaseError`. */
export interface Query<R extends object> {
  get(...values: readonly SqlValue[]): R | undefined
  all(...values: readonly SqlValue[]): R[]
}

/** Where the database lies and how careful it is. */
export interface DatabaseOptions {
  /** The file; made when missing, readable by its owner alone. Left out: a private temporary one that goes with `close`. */
  readonly path?: string
  /** What it holds is of one life: removed before it is opened, in case a crash left it, and when it is closed. */
  readonly temporary?: boolean
  /** Whether a write is on the disk when it returns (survives power loss); single writes may differ. Default true. */
  readonly durable?: boolean
  /** Most writes that may wait; default 20,000. */
  readonly mostWaiting?: number
  readonly log?: Logger
  /** The library to use; default: the best one here. */
  readonly driver?: DriverName
  /** The steps to the newest shape; default: the program's own. */
  readonly migrations?: readonly Migration[]
}

/** How long a writer of another process may keep the lock before a write fails. */
const busyMs = 5_000

/** Set on every connection. WAL: readers and the writer do not wait for each other. */
const pragmas = [
  `busy_timeout=${busyMs}`,
  'foreign_keys=on',
  'wal_autocheckpoint=4000',
  'journal_size_limit=67108864',
]

/** Opens the database, brings it to the newest shape and starts its writer. Throws `ConfigError`. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const scope = new Scope()
  try {
    const driver = options.driver ?? findDriver()
    const path = options.path ?? temporaryFile(scope)
    if (options.temporary === true) {
      removeWhole(path)
      scope.defer(() => removeWhole(path))
    }
    createPrivately(path)
    const connection = scope.own(openReader(driver, path, options.migrations ?? migrations))
    const writer = scope.own(
      new GroupWriter({
        driver,
        path,
        from: import.meta.url,
        pragmas,
        durable: options.durable ?? true,
        mostWaiting: options.mostWaiting ?? 20_000,
        log: options.log ?? silentLogger,
      }),
    )
    // A writer that cannot open the file shows here, not at the first login.
    await writer.write([{ sql: 'update migration set position = position where 0' }], { durable: false })
    return { driver, writer, query: queriesOf(connection), close: () => scope.close() }
  } catch (error) {
    await scope.close().catch(() => {})
    throw openingErrorOf(options.path ?? 'memory', error)
  }
}

function temporaryFile(scope: Scope): string {
  const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-'))
  scope.defer(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'memory.db')
}

function removeWhole(path: string): void {
  for (const side of ['', '-wal', '-shm']) rmSync(`${path}${side}`, { force: true })
}

/** SQLite gives its side files the permissions of the database, so this one is made first. */
function createPrivately(path: string): void {
  makeFolders(dirname(path), 0o700)
  closeSync(openSync(path, 'a', 0o600))
}

function openReader(driver: DriverName, path: string, steps: readonly Migration[]): Connection {
  const connection = openConnection(requireHere, driver, path)
  try {
    for (const pragma of pragmas) connection.prepare(`pragma ${pragma}`).all([])
    const mode = connection.prepare('pragma journal_mode=wal').get([])
    if (mode?.['journal_mode'] !== 'wal')
      throw new ConfigError(
        'unsupported-platform',
        `Cannot use "${path}": its file system has no shared memory (a network file system?); put the database on a local disk`,
      )
    migrate(connection, path, steps)
    connection.exec('pragma query_only=on')
    return connection
  } catch (error) {
    connection.close()
    throw error
  }
}

function queriesOf(connection: Connection): Database['query'] {
  return <R extends object>(sql: string): Query<R> => {
    const statement = reading(() => connection.prepare(sql))
    return {
      // Tables are STRICT and the caller names the columns it selects.
      get: (...values) => reading(() => statement.get(values)) as R | undefined,
      all: (...values) => reading(() => statement.all(values)) as R[],
    }
  }
}

function reading<T>(action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw databaseErrorOf('read the database', error)
  }
}

const openingReasons: Partial<Record<DatabaseErrorCode, string>> = {
  corrupt: 'it is damaged or not a database; put back a copy, or move it away to start with an empty one',
  busy: 'another program keeps it locked',
  full: 'the disk is full',
  'read-only': 'it cannot be written to',
}

function openingErrorOf(path: string, error: unknown): ConfigError {
  if (error instanceof ConfigError) return error
  const { code } = databaseErrorOf('open the database', error)
  const reason = openingReasons[code] ?? messageOf(error)
  const kind = code === 'busy' ? 'state-in-use' : 'file-unreadable'
  return new ConfigError(kind, `Cannot open the database "${path}": ${reason}`, { cause: error })
}
