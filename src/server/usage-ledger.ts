import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Usage, UsageOwner } from '../accounts/usage.ts'
import type { UsageCounter, UsageLedger } from '../files/usage-ledger.ts'

/** How long changes are gathered before they are written down. */
const gatherMs = 200

/** What a stored ledger adds to one in memory. */
export interface StoredUsageLedger extends UsageLedger {
  /** Writes down what was counted since. */
  close(): Promise<void>
}

/**
 * Counts in memory, at once, and writes the sums down a little later: a quota is held against what is used now, and
 * no upload waits for the database. A command that sets the counts is seen after the next write.
 */
export function createStoredUsageLedger(usage: Usage, log: Logger, now: () => number): StoredUsageLedger {
  const counters = new Map<string, StoredCounter>()
  const firsts = new Set<string>()
  const counterOf = (owner: UsageOwner): StoredCounter => {
    const key = `${owner.kind} ${owner.name}`
    const found = counters.get(key) ?? createCounter(usage, owner, log, () => counters.delete(key))
    counters.set(key, found)
    return found
  }
  return {
    user: (name) => counterOf({ kind: 'user', name }),
    folder: (name) => counterOf({ kind: 'folder', name }),
    markFirst(username, what) {
      const column = what === 'first-upload' ? 'first_upload' : 'first_download'
      const key = `${column} ${username}`
      if (firsts.has(key) || usage.of({ kind: 'user', name: username })[column] > 0) return false
      firsts.add(key)
      usage.noteFirst(username, column, now()).catch((error: unknown) => {
        log.warn('first transfer not noted', { username, error: messageOf(error) })
      })
      return true
    },
    async close() {
      await Promise.all([...counters.values()].map((counter) => counter.flush()))
    },
  }
}

interface StoredCounter extends UsageCounter {
  flush(): Promise<void>
}

function createCounter(usage: Usage, owner: UsageOwner, log: Logger, forget: () => void): StoredCounter {
  let stored = usage.of(owner)
  let pending = { size: 0, files: 0 }
  let timer: NodeJS.Timeout | undefined

  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const change = pending
    if (change.size === 0 && change.files === 0) return
    try {
      await usage.addQuota(owner, change)
      pending = { size: pending.size - change.size, files: pending.files - change.files }
      stored = usage.of(owner)
      if (pending.size === 0 && pending.files === 0) forget()
    } catch (error) {
      log.warn('usage not written down', { kind: owner.kind, name: owner.name, error: messageOf(error) })
    }
  }

  return {
    get size() {
      return Math.max(0, stored.used_quota_size + pending.size)
    },
    get files() {
      return Math.max(0, stored.used_quota_files + pending.files)
    },
    add(change) {
      pending = { size: pending.size + change.size, files: pending.files + change.files }
      timer ??= setTimeout(() => void flush(), gatherMs).unref()
    },
    flush,
  }
}
