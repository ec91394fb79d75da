/** Runs tasks one after the other, in the order they came. */
export interface SerialQueue {
  run<T>(task: () => Promise<T>): Promise<T>
}

/** Creates a queue; a task that fails does not stop the next. */
export function createSerialQueue(): SerialQueue {
  let last: Promise<unknown> = Promise.resolve()
  return {
    run(task) {
      const turn = last.then(task, task)
      last = turn.catch(() => undefined)
      return turn
    },
  }
}
