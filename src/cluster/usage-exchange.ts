import type { UsageLedger } from '../files/usage-ledger.ts'
import type { UsageNews } from './contract.ts'
import { fieldsOf } from './fields.ts'
import { partsOfKey } from './usage-keys.ts'

/** Where the workers' usage becomes one. */
export interface UsageExchange {
  /** From now on the worker hears of these; what everybody else has used so far. */
  join(worker: number, keys: readonly string[]): readonly UsageNews[]
  /** What the worker has used more or less. */
  used(worker: number, news: unknown): void
  unused(worker: number, news: unknown): void
  /** The worker is gone; what it told stays used. */
  forget(worker: number): void
}

interface Shared {
  total(): readonly [a: number, b: number]
  add(a: number, b: number): void
  /** By worker: what it has told, which it counts by itself. */
  readonly own: Map<number, { a: number; b: number }>
}

/** Creates it over the counters of the primary; `tell` reaches a worker. */
export function createUsageExchange(
  ledger: UsageLedger,
  tell: (worker: number, news: readonly UsageNews[]) => void,
): UsageExchange {
  const shared = new Map<string, Shared>()
  const dirty = new Map<number, Set<string>>()
  let at = 0

  const newsFor = (worker: number, key: string): UsageNews | undefined => {
    const one = shared.get(key)
    const own = one?.own.get(worker)
    if (one === undefined || own === undefined) return undefined
    const [a, b] = one.total()
    at += 1
    return { key, a: a - own.a, b: b - own.b, shared: one.own.size > 1, at }
  }
  const newsOf = (worker: number, keys: Iterable<string>): readonly UsageNews[] =>
    [...keys].flatMap((key) => newsFor(worker, key) ?? [])
  const flush = (): void => {
    const all = [...dirty]
    dirty.clear()
    for (const [worker, keys] of all) tell(worker, newsOf(worker, keys))
  }
  const mark = (key: string, one: Shared, except: number): void => {
    for (const worker of one.own.keys()) {
      if (worker === except) continue
      if (dirty.size === 0) queueMicrotask(flush)
      dirty.set(worker, (dirty.get(worker) ?? new Set()).add(key))
    }
  }
  const leave = (worker: number, key: string, one: Shared): void => {
    if (!one.own.delete(worker)) return
    if (one.own.size === 0) shared.delete(key)
    else mark(key, one, worker)
  }
  return {
    join(worker, keys) {
      for (const key of keys) {
        const one = shared.get(key) ?? sharedOf(ledger, key)
        shared.set(key, one)
        if (one.own.has(worker)) continue
        one.own.set(worker, { a: 0, b: 0 })
        mark(key, one, worker)
      }
      return newsOf(worker, keys)
    },
    used(worker, news) {
      if (!Array.isArray(news)) throw new TypeError('Not a list of usage')
      for (const each of news) {
        const fields = fieldsOf(each)
        const [key, a, b] = [fields.text('key'), fields.number('a'), fields.number('b')]
        const one = shared.get(key)
        const own = one?.own.get(worker)
        if (one === undefined || own === undefined)
          throw new TypeError('Usage that the worker has not joined')
        one.add(a, b)
        own.a += a
        own.b += b
        mark(key, one, worker)
      }
    },
    unused(worker, news) {
      if (!Array.isArray(news)) throw new TypeError('Not a list of usage')
      for (const key of news) {
        const one = shared.get(String(key))
        if (one !== undefined) leave(worker, String(key), one)
      }
    },
    forget(worker) {
      for (const [key, one] of [...shared]) leave(worker, key, one)
      dirty.delete(worker)
    },
  }
}

function sharedOf(ledger: UsageLedger, key: string): Shared {
  const { kind, name } = partsOfKey(key)
  const own = new Map<number, { a: number; b: number }>()
  if (kind === 'moved') {
    const counter = ledger.transfers(name)
    return {
      own,
      total: () => [counter.upload, counter.download],
      add: (upload, download) => counter.add({ upload, download }),
    }
  }
  const counter = kind === 'user' ? ledger.user(name) : ledger.folder(name)
  return {
    own,
    total: () => [counter.size, counter.files],
    add: (size, files) => counter.add({ size, files }),
  }
}
