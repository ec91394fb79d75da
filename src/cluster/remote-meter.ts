import type { Labels, Meter } from '../base/meter.ts'
import type { LinkToPrimary } from './contract.ts'

/** The meter of a worker: sums up and sends what came of it once a second. */
export interface RemoteMeter extends Meter {
  flush(): void
  close(): void
}

const everyMs = 1_000
/** Single times kept until they are sent. */
const mostTimes = 5_000

/** Creates it over the line to the primary; while nobody reads the metrics, nothing is kept. */
export function createRemoteMeter(link: LinkToPrimary, isRead: () => boolean): RemoteMeter {
  let added = new Map<string, { readonly name: string; readonly labels: Labels; amount: number }>()
  let observed = new Map<
    string,
    { readonly name: string; readonly labels: Labels; readonly seconds: number[] }
  >()
  let times = 0
  let timer: NodeJS.Timeout | undefined

  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (added.size === 0 && observed.size === 0) return
    const news = {
      added: [...added.values()].map(({ name, labels, amount }) => [name, labels, amount] as const),
      observed: [...observed.values()].map(({ name, labels, seconds }) => [name, labels, seconds] as const),
    }
    added = new Map()
    observed = new Map()
    times = 0
    link.tell('metrics', news)
  }
  const later = (): void => {
    timer ??= setTimeout(flush, everyMs).unref()
  }
  return {
    add(name, amount = 1, labels = {}) {
      if (!isRead()) return
      const key = keyOf(name, labels)
      const entry = added.get(key)
      if (entry === undefined) added.set(key, { name, labels, amount })
      else entry.amount += amount
      later()
    },
    observe(name, seconds, labels = {}) {
      if (!isRead()) return
      const key = keyOf(name, labels)
      const entry = observed.get(key)
      if (entry === undefined) observed.set(key, { name, labels, seconds: [seconds] })
      else entry.seconds.push(seconds)
      times += 1
      if (times >= mostTimes) flush()
      else later()
    },
    // What is now is asked for by the primary, not told.
    set() {},
    flush,
    close: flush,
  }
}

function keyOf(name: string, labels: Labels): string {
  let key = name
  for (const label in labels) key += `\0${label}\0${labels[label]}`
  return key
}
