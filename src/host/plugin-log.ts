import type { Logger, LogLevel } from '../base/log.ts'
import type { OutputRecord } from './output.ts'

/** What one plugin said lately, and a way to hear what it says next. Survives its restarts. */
export interface PluginLog {
  readonly recent: readonly OutputRecord[]
  add(record: OutputRecord): void
  /** Calls `listener` for each new record; the returned function ends that. */
  follow(listener: (record: OutputRecord) => void): () => void
}

/** How much is kept: so many records, and together so many characters. */
const mostRecords = 1000
const mostCharacters = 512 * 1024

/** Creates the log of one plugin. `level` and `log` are asked each time, since a reload may change both. */
export function createPluginLog(level: () => LogLevel, log: Logger): PluginLog {
  const recent: OutputRecord[] = []
  const listeners = new Set<(record: OutputRecord) => void>()
  let characters = 0
  return {
    recent,
    add(record) {
      recent.push(record)
      characters += record.message.length
      while (recent.length > mostRecords || characters > mostCharacters)
        characters -= recent.shift()?.message.length ?? 0
      for (const listener of listeners) listener(record)
      if (isAtLeast(record.level, level())) write(log, record)
    },
    follow(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

const order: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']

/** Whether a record of level `actual` belongs into a log of level `wanted`. */
export function isAtLeast(actual: LogLevel, wanted: LogLevel): boolean {
  return order.indexOf(actual) >= order.indexOf(wanted)
}

/** The entry's level decides alone: what the server's own level would hide is written one level higher up. */
function write(log: Logger, { level, message, stream, fields }: OutputRecord): void {
  const loud = order.slice(order.indexOf(level)).find((candidate) => log.isEnabled(candidate))
  if (loud === undefined) return
  const said = Object.keys(fields).length > 0 ? { said: fields } : {}
  log[loud]('plugin output', {
    stream,
    text: message,
    ...said,
    ...(loud !== level && { level_of_plugin: level }),
  })
}
