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

/** Bytes that one user has sent and fetched since the counts were last set to nothing. */
export interface TransferCounter {
  readonly upload: number
  readonly download: number
  add(moved: { readonly upload: number; readonly download: number }): void
}

/** Where usage is counted. Accounts store it. */
export interface UsageLedger {
  user(username: string): UsageCounter
  folder(name: string): UsageCounter
  transfers(username: string): TransferCounter
  /** True once in a user's lifetime for each of the two. */
  markFirst(username: string, what: 'first-upload' | 'first-download'): boolean
}

/** A ledger that remembers nothing after the process ends: for tests and single programs. */
export function createMemoryUsageLedger(): UsageLedger {
  const counters = new Map<string, UsageCounter>()
  const transfers = new Map<string, TransferCounter>()
  const firsts = new Set<string>()
  const counter = (key: string): UsageCounter => {
    const found = counters.get(key) ?? createCounter()
    counters.set(key, found)
    return found
  }
  return {
    user: (username) => counter(`user ${username}`),
    folder: (name) => counter(`folder ${name}`),
    transfers(username) {
      const found = transfers.get(username) ?? createTransferCounter()
      transfers.set(username, found)
      return found
    },
    markFirst(username, what) {
      const key = `${what} ${username}`
      if (firsts.has(key)) return false
      firsts.add(key)
      return true
    },
  }
}

function createTransferCounter(): TransferCounter {
  let upload = 0
  let download = 0
  return {
    get upload() {
      return upload
    },
    get download() {
      return download
    },
    add(moved) {
      upload += moved.upload
      download += moved.download
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
