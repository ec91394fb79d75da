import type { TransferCounter, UsageCounter, UsageLedger } from '../files/usage-ledger.ts'
import type { FirstTransfer, LinkToPrimary, UsageNews } from './contract.ts'
import type { UsageKey } from './usage-keys.ts'

/** The ledger of a worker: its own usage at once, that of all others as the primary tells it. */
export interface RemoteUsage {
  readonly ledger: UsageLedger
  /** A session of this user is about to begin: to be called before the primary is asked for it. */
  hold(owners: readonly UsageOwner[]): HeldUsage
  take(news: readonly UsageNews[]): void
  /** Tells what has not been told. */
  flush(): void
}

/** What a session counts, and how much of it there may be: bytes and files, or bytes sent and fetched. 0: no limit. */
export interface UsageOwner {
  readonly key: UsageKey
  readonly mostA: number
  readonly mostB: number
}

/** The usage of one session's user and folders. */
export interface HeldUsage {
  /** What the primary says of the usage so far. */
  begin(so: { readonly usage: readonly UsageNews[]; readonly firsts: readonly FirstTransfer[] }): void
  release(): void
}

interface Entry {
  a: number
  b: number
  /** The same of all others. */
  othersA: number
  othersB: number
  pendingA: number
  pendingB: number
  shared: boolean
  at: number
  sessions: number
  mostA: number
  mostB: number
}

/**
 * A message for each file would go on to every worker that counts the same. So what is used is told in lots, and at the
 * end of the turn only where another worker counts it too and a limit is near.
 */
const lotMs = 20
/** Nearer than this share of a limit, or than as many files, is near. */
const nearShare = 0.1
const nearFiles = 100

/** Creates it over the line to the primary. */
export function createRemoteUsage(link: LinkToPrimary): RemoteUsage {
  const entries = new Map<string, Entry>()
  const firsts = new Map<string, Set<FirstTransfer>>()
  const changed = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let soon: NodeJS.Immediate | undefined

  const flush = (): void => {
    clearTimeout(timer)
    clearImmediate(soon)
    timer = soon = undefined
    if (changed.size === 0) return
    const used = [...changed].flatMap((key) => {
      const entry = entries.get(key)
      if (entry === undefined) return []
      const { pendingA: a, pendingB: b } = entry
      entry.pendingA = entry.pendingB = 0
      return [{ key, a, b }]
    })
    changed.clear()
    link.tell('used', used)
  }
  const add = (key: UsageKey, a: number, b: number): void => {
    const entry = entryOf(key)
    entry.a += a
    entry.b += b
    entry.pendingA += a
    entry.pendingB += b
    changed.add(key)
    if (entry.shared && isNear(entry)) soon ??= setImmediate(flush)
    else timer ??= setTimeout(flush, lotMs)
  }
  const entryOf = (key: UsageKey): Entry => {
    const entry = entries.get(key)
    if (entry === undefined) throw new Error(`Nobody has begun to count "${key}"`)
    return entry
  }
  const take = (news: readonly UsageNews[]): void => {
    for (const { key, a, b, shared, at } of news) {
      const entry = entries.get(key)
      if (entry === undefined || at <= entry.at) continue
      entry.at = at
      entry.othersA = a
      entry.othersB = b
      entry.shared = shared
      if (shared && changed.has(key) && isNear(entry)) soon ??= setImmediate(flush)
    }
  }
  const counter = (key: UsageKey): UsageCounter => ({
    get size() {
      return sumA(entryOf(key))
    },
    get files() {
      return sumB(entryOf(key))
    },
    add: ({ size, files }) => add(key, size, files),
  })
  const transfers = (key: UsageKey): TransferCounter => ({
    get upload() {
      return sumA(entryOf(key))
    },
    get download() {
      return sumB(entryOf(key))
    },
    add: ({ upload, download }) => add(key, upload, download),
  })
  return {
    ledger: {
      user: (name) => counter(`user ${name}`),
      folder: (name) => counter(`folder ${name}`),
      transfers: (name) => transfers(`moved ${name}`),
      markFirst(username, what) {
        const known = firsts.get(username) ?? new Set()
        if (known.has(what)) return false
        firsts.set(username, known.add(what))
        // The primary knows whether it really is: it tells nobody of a second one.
        link.tell('first', { username, what })
        return true
      },
    },
    hold(owners) {
      const keys = owners.map(({ key }) => key)
      const username = nameOf(owners)
      for (const { key, mostA, mostB } of owners) {
        const entry = entries.get(key) ?? newEntry()
        entry.sessions += 1
        entry.mostA = mostA
        entry.mostB = mostB
        entries.set(key, entry)
      }
      let released = false
      return {
        begin(so) {
          take(so.usage)
          firsts.set(username, new Set([...(firsts.get(username) ?? []), ...so.firsts]))
        },
        release() {
          if (released) return
          released = true
          flush()
          const unused = keys.filter((key) => {
            const entry = entryOf(key)
            entry.sessions -= 1
            return entry.sessions === 0 && entries.delete(key)
          })
          if (unused.includes(`user ${username}`)) firsts.delete(username)
          if (unused.length > 0) link.tell('unused', unused)
        },
      }
    },
    take,
    flush,
  }
}

function nameOf(owners: readonly UsageOwner[]): string {
  const user = owners.find(({ key }) => key.startsWith('user '))
  return user?.key.slice('user '.length) ?? ''
}

/** Whether what others do may soon decide whether there is still room. */
function isNear(entry: Entry): boolean {
  const { mostA, mostB } = entry
  if (mostA > 0 && sumA(entry) > mostA * (1 - nearShare)) return true
  return mostB > 0 && sumB(entry) > Math.min(mostB * (1 - nearShare), mostB - nearFiles)
}

function newEntry(): Entry {
  return {
    a: 0,
    b: 0,
    othersA: 0,
    othersB: 0,
    pendingA: 0,
    pendingB: 0,
    shared: false,
    ...{ at: 0, sessions: 0, mostA: 0, mostB: 0 },
  }
}

// A count that fell below nothing (a scan came in between) is nothing.
function sumA({ a, othersA }: Entry): number {
  return Math.max(0, a + othersA)
}

function sumB({ b, othersB }: Entry): number {
  return Math.max(0, b + othersB)
}
