import { FileError } from '../base/errors.ts'
import type { Soon } from '../base/soon.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import { settle } from './file-line.ts'
import type { Opened } from './handles.ts'
import { meet, NameLane } from './name-lane.ts'
import type { Reply } from './reply.ts'
import type { Receipt, Task } from './task.ts'

/** Runs a request and answers it; `done` is called before the answer, once its effect is complete. */
export type RunRequest = (run: () => Soon<Reply>, receipt: Receipt, done: () => void) => void

/**
 * Decides when each request of a session runs: those for one open file in the line of that file, those for names
 * in the lane of names, and both in the order of arrival where they meet. A request only ever waits for earlier ones.
 */
export class Schedule {
  readonly #run: RunRequest
  readonly #names: NameLane
  /** Files with a change under way, as far as requests for names must know. */
  readonly #changing = new Set<Opened>()
  /** Lets go of handles that wait for a second one which will not come. */
  readonly #halfReached = new Set<() => void>()

  /** At most `mostCalls` requests for names run at once. */
  constructor(mostCalls: number, run: RunRequest) {
    this.#run = run
    this.#names = new NameLane(mostCalls, ({ order, paths }) => this.#changesBefore(order, paths))
  }

  /** Whether enough requests for names wait. */
  get crowded(): boolean {
    return this.#names.crowded
  }

  /** A change of an open file is over. */
  changed(): void {
    this.#names.pump()
  }

  /** Drops what waits. */
  clear(): void {
    this.#names.clear()
    for (const letGo of this.#halfReached) letGo()
  }

  /** Runs `task` in its turn, which may be now. */
  begin(task: Task, receipt: Receipt): void {
    switch (task.at) {
      case 'once':
        return this.#run(task.run, receipt, () => {})
      case 'names': {
        const { paths, changes, run } = task
        const start = (done: () => void): void => this.#run(run, receipt, done)
        return this.#names.add({ order: receipt.order, paths, changes, start })
      }
      case 'read':
        return task.opened.line.read(receipt, task)
      case 'write':
        task.opened.line.write(receipt, task)
        return this.#noteChange(task.opened)
      case 'handle': {
        const { opened, changes, run } = task
        if (!changes) return opened.line.call(receipt, false, run)
        opened.line.call(receipt, true, () => this.#afterEarlierNames(receipt.order, opened.path, run))
        return this.#noteChange(opened)
      }
      case 'two-handles':
        return this.#beginOnBoth(task, receipt)
    }
  }

  /** Runs once both handles have come to this request; neither goes on before it is done. */
  #beginOnBoth({ from, into, run }: Task & { at: 'two-handles' }, receipt: Receipt): void {
    const opens: (() => void)[] = []
    const openAll = (): void => {
      this.#halfReached.delete(openAll)
      for (const open of opens) open()
    }
    const reached = (open: () => void): void => {
      opens.push(open)
      if (opens.length === 1) return void this.#halfReached.add(openAll)
      this.#halfReached.delete(openAll)
      this.#run(run, receipt, openAll)
    }
    if (from.line === into.line) into.line.gate(receipt, true, (open) => this.#run(run, receipt, open))
    else {
      from.line.gate(receipt, false, reached)
      into.line.gate(receipt, true, reached)
    }
    this.#noteChange(into)
  }

  /** A CLOSE gives an upload its name: it must not overtake an earlier request for that name. */
  #afterEarlierNames(order: number, path: VirtualPath, run: () => Soon<Reply>): Soon<Reply> {
    let value: Soon<Reply> | undefined
    const later = new Promise<Reply>((resolve, reject) => {
      const start = (done: () => void): void => {
        done()
        settle(
          () => (value = run()),
          resolve,
          (error) => reject(error instanceof Error ? error : new Error(String(error))),
        )
      }
      const dropped = (): void => reject(new FileError('interrupted', 'The session is over'))
      this.#names.add({ order, paths: [path], changes: true, start, dropped })
    })
    if (value === undefined || value instanceof Promise) return later
    return value
  }

  #noteChange(opened: Opened): void {
    if (opened.line.oldestChange !== undefined) this.#changing.add(opened)
  }

  #changesBefore(order: number, paths: readonly VirtualPath[]): boolean {
    for (const opened of this.#changing) {
      const oldest = opened.line.oldestChange
      if (oldest === undefined) this.#changing.delete(opened)
      else if (oldest < order && meet([opened.path], paths)) return true
    }
    return false
  }
}
