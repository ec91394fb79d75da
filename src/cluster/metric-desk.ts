import type { Meter } from '../base/meter.ts'
import { fieldsOf } from './fields.ts'

/** Adds what a worker measured to the meter of the server. Throws a `TypeError` for what is no measurement. */
export function takeMetrics(meter: Meter, news: unknown): void {
  const fields = fieldsOf(news)
  for (const one of fields.list('added')) {
    const [name, labels, amount] = tripleOf(one)
    if (typeof amount !== 'number') throw new TypeError('Not an amount')
    meter.add(name, amount, labels)
  }
  for (const one of fields.list('observed')) {
    const [name, labels, seconds] = tripleOf(one)
    if (!Array.isArray(seconds)) throw new TypeError('Not a list of times')
    for (const each of seconds) if (typeof each === 'number') meter.observe(name, each, labels)
  }
}

function tripleOf(value: unknown): readonly [string, Readonly<Record<string, string>>, unknown] {
  const [name, labels, rest] = Array.isArray(value) ? (value as readonly unknown[]) : []
  if (typeof name !== 'string' || typeof labels !== 'object' || labels === null)
    throw new TypeError('Not a measurement')
  const texts = Object.fromEntries(Object.entries(labels).map(([key, text]) => [key, String(text)]))
  return [name, texts, rest]
}
