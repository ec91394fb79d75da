/** Runs a bounded number of tasks at once; those that wait take turns by key, so that one key's flood delays only itself. */
export interface FairQueue {
  /** Undefined when the line is full, for all or for this key: nothing was started. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> | undefined
  readonly running: number
  readonly waiting: number
}

/** How many may run, how many may wait in all and for one key. */
export interface FairQueueOptions {
  readonly atOnce: number
  readonly inLine: number
  readonly inLinePerKey: number
}

/** Creates a queue that serves the waiting keys one after another, each key in its own order. */
export function createFairQueue(options: FairQueueOptions): FairQueue {
  let running = 0
  let waiting = 0
  // A Map keeps the order in which keys came; a key that was served goes to the end.
  const lines = new Map<string, (() => void)[]>()

  const next = (): void => {
    running -= 1
    for (const [key, line] of lines) {
      const start = line.shift()
      lines.delete(key)
      if (line.length > 0) lines.set(key, line)
      if (start === undefined) continue
      waiting -= 1
      return start()
    }
  }
  const launch = <T>(task: () => Promise<T>): Promise<T> => {
    running += 1
    return task().finally(next)
  }
  return {
    run(key, task) {
      if (running < options.atOnce) return launch(task)
      const line = lines.get(key) ?? []
      if (waiting >= options.inLine || line.length >= options.inLinePerKey) return undefined
      waiting += 1
      lines.set(key, line)
      return new Promise((resolve, reject) => {
        line.push(() => {
          launch(task).then(resolve, reject)
        })
      })
    },
    get running() {
      return running
    },
    get waiting() {
      return waiting
    },
  }
}
