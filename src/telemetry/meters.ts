import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { Labels, Meter } from '../base/meter.ts'
import { type Metric, metrics } from './metrics.ts'

/** The real meter, and what Prometheus reads from it. */
export interface ProgramMeter extends Meter {
  /** All metrics in Prometheus' text form, and its content type. */
  read(): Promise<{ readonly text: string; readonly contentType: string }>
  close(): void
}

/** How many values a label may have before the rest is counted as one. */
const mostLabelValues = 100
/** How often the event loop is looked at. Node counts this pause as part of every delay. */
const lookEveryMs = 20
/** From a fast metadata call to a slow login, in seconds. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/**
 * Creates the meter; `refresh` is called before each reading to set the gauges that are asked for, not told. While
 * nobody can read it, nothing is counted: counting was a twentieth of the CPU of an upload of small files.
 */
export function openMeters(
  refresh: (meter: Meter) => void | Promise<void> = () => {},
  isRead: () => boolean = () => true,
): ProgramMeter {
  const registry = new Registry()
  const instruments = new Map<string, Counter | Gauge | Histogram>()
  for (const [name, metric] of Object.entries<Metric>(metrics))
    instruments.set(name, instrumentOf(name, metric, registry))
  const seen = new Map<string, Set<string>>()
  const delays = monitorEventLoopDelay({ resolution: lookEveryMs })
  let watched = false
  /** Looking at the event loop wakes it a hundred times a second, so it begins when somebody may want to know. */
  const watch = (): void => {
    if (watched || !isRead()) return
    watched = true
    collectDefaultMetrics({ register: registry, prefix: 'sftpgo_' })
    delays.enable()
  }
  watch()

  const meter: Meter = {
    add(name, amount = 1, labels = {}) {
      if (!isRead()) return
      const counter = instruments.get(name)
      if (counter instanceof Counter) counter.inc(bounded(name, labels, seen), amount)
    },
    observe(name, seconds, labels = {}) {
      if (!isRead()) return
      const histogram = instruments.get(name)
      if (histogram instanceof Histogram) histogram.observe(bounded(name, labels, seen), seconds)
    },
    set(name, value, labels = {}) {
      const gauge = instruments.get(name)
      if (gauge instanceof Gauge) gauge.set(bounded(name, labels, seen), value)
    },
  }
  return {
    ...meter,
    async read() {
      watch()
      tellDelays(meter, delays)
      await refresh(meter)
      return { text: await registry.metrics(), contentType: registry.contentType }
    },
    close() {
      delays.disable()
      registry.clear()
    },
  }
}

function instrumentOf(
  name: string,
  { kind, help, labels }: Metric,
  registry: Registry,
): Counter | Gauge | Histogram {
  const shared = { name, help, labelNames: [...labels], registers: [registry] }
  if (kind === 'counter') return new Counter(shared)
  return kind === 'gauge' ? new Gauge(shared) : new Histogram({ ...shared, buckets })
}

/** The labels that the metric has, with values beyond the hundredth as `other`. */
function bounded(name: string, labels: Labels, seen: Map<string, Set<string>>): Record<string, string> {
  const known: Readonly<Record<string, Metric>> = metrics
  const result: Record<string, string> = {}
  for (const label of known[name]?.labels ?? []) {
    const value = labels[label]
    if (value === undefined) continue
    const key = `${name} ${label}`
    const values = seen.get(key) ?? new Set()
    seen.set(key, values)
    if (values.size < mostLabelValues) values.add(value)
    result[label] = values.has(value) ? value : 'other'
  }
  return result
}

function tellDelays(meter: Meter, delays: IntervalHistogram): void {
  for (const percent of [50, 90, 99, 100]) {
    const pausedMs = delays.count === 0 ? 0 : delays.percentile(percent) / 1e6
    const delayedMs = Math.max(0, pausedMs - lookEveryMs)
    meter.set('sftpgo_event_loop_delay_seconds', delayedMs / 1000, { quantile: String(percent / 100) })
  }
  delays.reset()
}
