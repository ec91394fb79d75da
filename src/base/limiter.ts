/** Lets at most a number of tasks run at once; a bounded number wait in line. */
export interface Limiter {
  /** Runs `task` now or in its turn. Undefined when the line is full: nothing was started. */
  run<T>(task: () => Promise<T>): Promise<T> | undefined
  readonly running: number
  readonly waiting: number
}

/** How many may run, how many may wait. */
export interface LimiterOptions {
  readonly atOnce: number
  readonly inLine: number
}

/** Creates a limiter. First come, first served. */
export function createLimiter({ atOnce, inLine }: LimiterOptions): Limiter {
  let running = 0
  const line: (() => void)[] = []
  const leave = (): void => {
    running -= 1
    line.shift()?.()
  }
  return {
    run(task) {
      if (running < atOnce) {
        running += 1
        return task().finally(leave)
      }
      if (line.length >= inLine) return undefined
      return new Promise((resolve, reject) => {
        line.push(() => {
          running += 1
          task().finally(leave).then(resolve, reject)
        })
      })
    },
    get running() {
      return running
    },
    get waiting() {
      return line.length
    },
  }
}
