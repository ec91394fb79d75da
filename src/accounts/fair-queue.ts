/** Runs a bounded amount of work at once; what waits takes turns by key, so that one key's flood delays only itself. */
export interface FairQueue {
  /**
   * Undefined when the line is full, for all or for this key: nothing was started. `cores`: how many the task keeps
   * busy, default 1. One that takes more than there are runs alone, and is followed by a rest that makes up for it.
   */
  run<T>(key: string, task: () => Promise<T>, cores?: number): Promise<T> | undefined
  /** Places taken. */
  readonly running: number
  readonly waiting: number
}

/** How much may run, how many may wait in all and for one key. */
export interface FairQueueOptions {
  /** Places: a task takes one for each core it keeps busy. */
  readonly atOnce: number
  /** Cores that tasks may keep busy on average. Default `atOnce`. */
  readonly share?: number
  readonly inLine: number
  readonly inLinePerKey: number
}

interface Waiting {
  readonly places: number
  start(): void
}

/** Creates a queue that serves the waiting keys one after another, each key in its own order. */
export function createFairQueue(options: FairQueueOptions): FairQueue {
  const { atOnce, share = atOnce, inLine, inLinePerKey } = options
  let running = 0
  let waiting = 0
  // A Map keeps the order in which keys came; a key that was served goes to the end.
  const lines = new Map<string, Waiting[]>()

  const startNext = (): void => {
    for (const [key, line] of lines) {
      const [first] = line
      // Whoever needs more places than are free is waited for: small tasks would pass it by for ever.
      if (first !== undefined && running + first.places > atOnce) return
      line.shift()
      lines.delete(key)
      if (line.length > 0) lines.set(key, line)
      if (first === undefined) continue
      waiting -= 1
      first.start()
    }
  }
  const leave = (places: number): void => {
    running -= places
    startNext()
  }
  const launch = async <T>(task: () => Promise<T>, places: number, cores: number): Promise<T> => {
    running += places
    const since = performance.now()
    try {
      return await task()
    } finally {
      // Makes up for cores beyond its places, and for places beyond the share.
      const restMs = (performance.now() - since) * ((cores / places) * (atOnce / share) - 1)
      if (restMs < 1) leave(places)
      else setTimeout(() => leave(places), restMs)
    }
  }
  return {
    run(key, task, cores = 1) {
      const places = Math.min(cores, atOnce)
      if (waiting === 0 && running + places <= atOnce) return launch(task, places, cores)
      const line = lines.get(key) ?? []
      if (waiting >= inLine || line.length >= inLinePerKey) return undefined
      waiting += 1
      lines.set(key, line)
      return new Promise((resolve, reject) => {
        line.push({ places, start: () => void launch(task, places, cores).then(resolve, reject) })
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
