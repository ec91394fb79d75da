/** What one user or one folder uses, shared by all sessions of this server. */
export interface UsageCounter {
  readonly size: number
  readonly files: number
  /** Adds what an effect changed; negative for what went away. The sum is kept; it may be written down later. */
  add(change: UsageChange): void
}

/** Bytes and files more or less. */
export interface UsageChange {
  readonly size: number
  readonly files: number
}

/** Where usage is counted. Accounts store it. */
export interface UsageLedger {
  user(username: string): UsageCounter
  folder(name: string): UsageCounter
  /** True once in a user's lifetime for each of the two. */
  markFirst(username: string, what: 'first-upload' | 'first-download'): boolean
}

/** A ledger that remembers nothing after the process ends: for tests and single programs. */
export function createMemoryUsageLedger(): UsageLedger {
  const counters = new Map<string, UsageCounter>()
  const firsts = new Set<string>()
  const counter = (key: string): UsageCounter => {
    const found = counters.get(key) ?? createCounter()
    counters.set(key, found)
    return found
  }
  return {
    user: (username) => counter(`user ${username}`),
    folder: (name) => counter(`folder ${name}`),
    markFirst(username, what) {
      const key = `${what} ${username}`
      if (firsts.has(key)) return false
      firsts.add(key)
      return true
    },
  }
}

function createCounter(): UsageCounter {
  let size = 0
  let files = 0
  return {
    get size() {
      return size
    },
    get files() {
      return files
    },
    add(change) {
      size = Math.max(0, size + change.size)
      files = Math.max(0, files + change.files)
    },
  }
}
