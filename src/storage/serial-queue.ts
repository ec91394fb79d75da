import type { Soon } from '../base/soon.ts'

/** Runs tasks one after the other, in the order they came. */
export interface SerialQueue {
  /** Runs `task` now when nothing runs, else after everything that came before. */
  run<T>(task: () => Soon<T>): Soon<T>
}

/** Creates a queue; a task that fails does not stop the next. */
export function createSerialQueue(): SerialQueue {
  let last: Promise<unknown> | undefined
  return {
    run(task) {
      const turn = last === undefined ? task() : last.then(task)
      if (!(turn instanceof Promise)) return turn
      const over: Promise<unknown> = turn.then(ended, ended)
      last = over
      return turn

      function ended(): void {
        if (last === over) last = undefined
      }
    },
  }
}
