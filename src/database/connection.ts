/** What a column can hold. Whole numbers are exact up to 2^53. */
export type SqlValue = string | number | null | Uint8Array

/** One row as a plain object. */
export type Row = Readonly<Record<string, SqlValue>>

/** One SQLite connection, whichever library is behind it. Errors carry SQLite's number in `sqliteCode`. */
export interface Connection {
  /** Runs statements that return nothing. */
  exec(sql: string): void
  prepare(sql: string): Statement
  close(): void
}

/** A prepared statement with positional parameters. */
export interface Statement {
  /** Runs it; how many rows it changed. */
  run(values: readonly SqlValue[]): number
  /** Runs it; the first row. */
  get(values: readonly SqlValue[]): Row | undefined
  /** Runs it; every row. */
  all(values: readonly SqlValue[]): Row[]
}

/** Which library opens SQLite here: the one inside Node where there is one, else the one that ships its own binary. */
export type DriverName = 'node:sqlite' | 'libsql'

/** The two libraries have one shape, up to what `openConnection` evens out. */
interface DriverDatabase {
  exec(sql: string): unknown
  prepare(sql: string): {
    run(...values: unknown[]): { readonly changes: number | bigint }
    get(...values: unknown[]): Record<string, unknown> | undefined
    all(...values: unknown[]): Record<string, unknown>[]
  }
  close(): unknown
}

/**
 * Opens `path` with the named library.
 *
 * The writer's thread runs this very function from its text (see `writer-source.ts`), so it may use nothing but
 * its arguments and what JavaScript itself has. For the same reason it loads the library with `require`.
 */
export function openConnection(require: NodeJS.Require, driver: DriverName, path: string): Connection {
  const database = open()
  return {
    exec(sql) {
      told(() => database.exec(sql))
    },
    prepare(sql) {
      const statement = told(() => database.prepare(sql))
      // libsql takes a list of parameters as one argument, node:sqlite one argument each.
      const spread = (values: readonly SqlValue[]): unknown[] =>
        driver === 'libsql' ? [values] : [...values]
      return {
        run: (values) => told(() => Number(statement.run(...spread(values)).changes)),
        get(values) {
          const row = told(() => statement.get(...spread(values)))
          return row === undefined ? undefined : plain(row)
        },
        all: (values) => told(() => statement.all(...spread(values)).map(plain)),
      }
    },
    close() {
      told(() => database.close())
    },
  }

  function open(): DriverDatabase {
    return told(() => {
      if (driver === 'libsql') {
        const Library = require('libsql') as new (path: string) => DriverDatabase // its documented shape
        return new Library(path)
      }
      const library = quietly(() => require('node:sqlite')) as {
        readonly DatabaseSync: new (path: string) => DriverDatabase // Node's documented shape
      }
      return new library.DatabaseSync(path)
    })
  }

  /** Node 22 warns that its SQLite is experimental; the few calls used here are the same in every release since. */
  function quietly<T>(load: () => T): T {
    // An own property hides the method for the length of one synchronous call.
    const warn = Object.getOwnPropertyDescriptor(process, 'emitWarning')
    Object.defineProperty(process, 'emitWarning', { value: () => {}, configurable: true, writable: true })
    try {
      return load()
    } finally {
      if (warn !== undefined) Object.defineProperty(process, 'emitWarning', warn)
      else Reflect.deleteProperty(process, 'emitWarning')
    }
  }

  /** libsql adds the time it took and gives blobs as ArrayBuffers, node:sqlite gives rows without a prototype. */
  function plain(row: Record<string, unknown>): Row {
    const result: Record<string, SqlValue> = {}
    for (const name of Object.keys(row)) {
      const value = row[name]
      if (name === '_metadata' && driver === 'libsql') continue
      // A driver gives nothing but SQLite's five types.
      result[name] = value instanceof ArrayBuffer ? new Uint8Array(value) : (value as SqlValue)
    }
    return result
  }

  function told<T>(action: () => T): T {
    try {
      return action()
    } catch (error) {
      throw withNumber(error)
    }
  }

  /** SQLite's number stands in `errcode` (node:sqlite), in `rawCode` (libsql), or at the end of a failed open's text. */
  function withNumber(error: unknown): unknown {
    if (!(error instanceof Error)) return error
    const { errcode, rawCode } = error as Error & { readonly errcode?: unknown; readonly rawCode?: unknown }
    const fromText = /Unable to open connection .*: (\d+)"/.exec(error.message)?.[1]
    const number = [errcode, rawCode, fromText === undefined ? undefined : Number(fromText)].find(
      (one) => typeof one === 'number',
    )
    return number === undefined ? error : Object.assign(error, { sqliteCode: number })
  }
}
