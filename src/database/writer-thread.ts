import type { MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { Connection, DriverName, SqlValue, Statement } from './connection.ts'

/** One statement of a write. */
export interface Step {
  readonly sql: string
  readonly values?: readonly SqlValue[]
  /** Instead of `values`: the statement runs with each of these, and changes what they change together. */
  readonly each?: readonly (readonly SqlValue[])[]
  /** The whole write is undone unless this statement changes a row. */
  readonly mustChange?: boolean
  /** The statement returns rows (RETURNING); they come back in the result. */
  readonly returnsRows?: boolean
}

/** What a write did, step by step. `applied` false: a step with `mustChange` changed nothing, so nothing was done. */
export type WriteResult =
  | {
      readonly applied: true
      readonly changes: readonly number[]
      readonly rows: readonly (readonly Readonly<Record<string, SqlValue>>[])[]
    }
  | { readonly applied: false; readonly step: number }

/** How one write of a group ended. */
export type WriteOutcome =
  | { readonly result: WriteResult }
  | { readonly failure: { readonly sqliteCode?: number; readonly message: string } }

/** What the thread is started with. */
export interface WriterStart {
  readonly driver: DriverName
  readonly path: string
  /** Where `require` looks for the library. */
  readonly from: string
  readonly pragmas: readonly string[]
}

/** A group of writes to commit together; durable means on the disk when it returns. */
export interface WriterGroup {
  readonly durable: boolean
  readonly writes: readonly (readonly Step[])[]
}

/** What the main thread says. */
export type ToWriter = WriterGroup | 'close'

/** What the thread says: the outcomes of the oldest unanswered group, or that it cannot open the database. */
export type FromWriter =
  | { readonly outcomes: readonly WriteOutcome[] }
  | { readonly unopened: { readonly sqliteCode?: number; readonly message: string } }

/** What the thread needs from `node:worker_threads`. */
interface Thread {
  readonly parentPort: typeof parentPort
  readonly workerData: typeof workerData
}

/**
 * The writer's thread: one connection, one transaction per group.
 *
 * It is started from its text (see `writer-source.ts`), so it may use nothing but its arguments and what
 * JavaScript itself has.
 */
export function runWriter(
  thread: Thread,
  createRequire: (from: string) => NodeJS.Require,
  openConnection: (require: NodeJS.Require, driver: DriverName, path: string) => Connection,
): void {
  const port = thread.parentPort as MessagePort // this runs in a thread, which has one
  const start = thread.workerData as WriterStart // the one place that starts it gives this
  const prepared = new Map<string, Statement>()
  let durableNow: boolean | undefined
  let connection: Connection
  try {
    connection = openConnection(createRequire(start.from), start.driver, start.path)
    for (const pragma of start.pragmas) connection.prepare(`pragma ${pragma}`).all([])
  } catch (error) {
    port.postMessage({ unopened: failureOf(error) } satisfies FromWriter)
    port.close()
    return
  }
  port.on('message', (message: ToWriter) => {
    if (message !== 'close') {
      port.postMessage({ outcomes: commitGroup(message) } satisfies FromWriter)
      return
    }
    // What is read next time stands in one file again.
    attempt(() => connection.prepare('pragma wal_checkpoint(truncate)').all([]))
    attempt(() => connection.close())
    port.close()
  })

  function commitGroup({ durable, writes }: WriterGroup): WriteOutcome[] {
    let begun = false
    try {
      if (durable !== durableNow) {
        connection.exec(`pragma synchronous=${durable ? 'full' : 'normal'}`)
        durableNow = durable
      }
      connection.exec('begin immediate')
      begun = true
      const outcomes = writes.map((steps) => runWrite(steps))
      connection.exec('commit')
      return outcomes
    } catch (error) {
      // Nothing of the group is written: a lock, a full disk and a damaged file hit every write of it alike.
      if (begun) attempt(() => connection.exec('rollback'))
      const failure = failureOf(error)
      return writes.map(() => ({ failure }))
    }
  }

  /** A write of its own success or failure; throws when the whole transaction is lost. */
  function runWrite(steps: readonly Step[]): WriteOutcome {
    const guarded = steps.length > 1 || steps[0]?.mustChange === true
    if (guarded) connection.exec('savepoint w')
    const undo = (): void => {
      if (guarded) connection.exec('rollback to w; release w')
    }
    const changes: number[] = []
    const rows: Record<string, SqlValue>[][] = []
    try {
      for (const [index, step] of steps.entries()) {
        const changed = runStep(step, rows)
        changes.push(changed)
        if (step.mustChange === true && changed === 0) {
          undo()
          return { result: { applied: false, step: index } }
        }
      }
    } catch (error) {
      if (isLoss(error)) throw error
      undo()
      return { failure: failureOf(error) }
    }
    if (guarded) connection.exec('release w')
    return { result: { applied: true, changes, rows } }
  }

  function runStep(step: Step, rows: Record<string, SqlValue>[][]): number {
    let statement = prepared.get(step.sql)
    if (statement === undefined) {
      statement = connection.prepare(step.sql)
      // Statements are constants of the program; a caller that builds them by hand must not fill the memory.
      if (prepared.size >= 500) prepared.clear()
      prepared.set(step.sql, statement)
    }
    if (step.returnsRows !== true) {
      rows.push([])
      let changed = 0
      for (const values of step.each ?? [step.values ?? []]) changed += statement.run(values)
      return changed
    }
    const found = statement.all(step.values ?? [])
    rows.push(found)
    return found.length
  }

  /** Errors after which SQLite may have given the transaction up: busy, no memory, interrupt, I/O, corrupt, full. */
  function isLoss(error: unknown): boolean {
    const number = failureOf(error).sqliteCode
    return number !== undefined && [5, 6, 7, 9, 10, 11, 13, 26].includes(number & 0xff)
  }

  function failureOf(error: unknown): { sqliteCode?: number; message: string } {
    const { sqliteCode, message } = error as { sqliteCode?: unknown; message?: unknown } // looked at before use
    return {
      message: typeof message === 'string' ? message : String(error),
      ...(typeof sqliteCode === 'number' ? { sqliteCode } : {}),
    }
  }

  function attempt(action: () => void): void {
    try {
      action()
    } catch {
      // What failed here is already lost or already said.
    }
  }
}
