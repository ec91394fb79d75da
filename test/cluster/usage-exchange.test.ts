import { beforeEach, describe, expect, it } from 'vitest'
import type { ToldToPrimary, ToldToWorker } from '../../src/cluster/contract.ts'
import type { LinkToPrimary } from '../../src/cluster/contract.ts'
import {
  createRemoteUsage,
  type HeldUsage,
  type RemoteUsage,
  type UsageOwner,
} from '../../src/cluster/remote-usage.ts'
import { createUsageExchange, type UsageExchange } from '../../src/cluster/usage-exchange.ts'
import { createMemoryUsageLedger, type UsageLedger } from '../../src/files/usage-ledger.ts'
import { until } from '../helpers/until.ts'

let ledger: UsageLedger
let exchange: UsageExchange
let workers: Map<number, RemoteUsage>

const owners: readonly UsageOwner[] = [
  { key: 'user ada', mostA: 0, mostB: 0 },
  { key: 'moved ada', mostA: 0, mostB: 0 },
]

beforeEach(() => {
  ledger = createMemoryUsageLedger()
  workers = new Map()
  exchange = createUsageExchange(ledger, (worker, news) => workers.get(worker)?.take(news))
  for (const worker of [1, 2]) workers.set(worker, createRemoteUsage(lineOf(worker)))
})

describe('what a user has used', () => {
  it('is seen by each worker at once for itself, and soon for the others', async () => {
    ledger.user('ada').add({ size: 100, files: 1 })
    begin(1)
    begin(2)
    const [one, two] = [counter(1), counter(2)]
    one.add({ size: 50, files: 1 })
    expect([one.size, one.files]).toEqual([150, 2])
    await until('the other one sees it', () => two.size === 150)
    two.add({ size: -100, files: -1 })
    await until('the first one sees it', () => one.size === 50 && one.files === 1)
    expect(ledger.user('ada').size).toBe(50)
  })

  it('is known to a worker whose last session ended while a next one began', async () => {
    const first = begin(1)
    counter(1).add({ size: 10, files: 1 })
    first.release()
    const second = usageOf(1).hold(owners)
    second.begin({ usage: exchange.join(1, ['user ada', 'moved ada']), firsts: [] })
    expect(counter(1).size).toBe(10)
    begin(2)
    counter(2).add({ size: 5, files: 1 })
    await until('both know', () => counter(1).size === 15 && counter(2).size === 15)
  })

  it('counts sent and fetched bytes the same way', async () => {
    begin(1)
    begin(2)
    usageOf(1).ledger.transfers('ada').add({ upload: 7, download: 3 })
    await until('the other one sees it', () => usageOf(2).ledger.transfers('ada').upload === 7)
    expect(usageOf(2).ledger.transfers('ada').download).toBe(3)
  })

  it('stays used when the worker is gone', () => {
    begin(1)
    counter(1).add({ size: 10, files: 1 })
    usageOf(1).flush()
    exchange.forget(1)
    begin(2)
    expect(counter(2).size).toBe(10)
  })

  it('is not taken from a worker that has no session of it', () => {
    expect(() => exchange.used(1, [{ key: 'user ada', a: 1, b: 1 }])).toThrow('not joined')
    expect(() => exchange.used(1, [{ key: 'user ada', a: 'much', b: 1 }])).toThrow()
  })
})

function begin(worker: number): HeldUsage {
  const held = usageOf(worker).hold(owners)
  held.begin({ usage: exchange.join(worker, ['user ada', 'moved ada']), firsts: [] })
  return held
}

function usageOf(worker: number): RemoteUsage {
  const usage = workers.get(worker)
  if (usage === undefined) throw new Error('There is no such worker')
  return usage
}

function counter(worker: number): ReturnType<UsageLedger['user']> {
  return usageOf(worker).ledger.user('ada')
}

/** The worker's line, which tells the exchange. */
function lineOf(worker: number): LinkToPrimary {
  return {
    ask: () => Promise.reject(new Error('Nothing is asked here')),
    tell(what: keyof ToldToPrimary, news: ToldToPrimary[keyof ToldToPrimary] | ToldToWorker['usage']) {
      if (what === 'used') exchange.used(worker, news)
      if (what === 'unused') exchange.unused(worker, news)
    },
    backlog: 0,
    close() {},
  }
}
