import type { LogFields, Logger, LogLevel } from '../../src/base/log.ts'

/** One thing that was logged. */
export interface Logged {
  readonly level: LogLevel
  readonly message: string
  readonly fields: LogFields
}

/** A logger that keeps what it is told. */
export function recordingLog(level: LogLevel = 'trace'): Logger & { readonly entries: Logged[] } {
  const entries: Logged[] = []
  return { ...loggerInto(entries, {}, level), entries }
}

const order: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']

function loggerInto(entries: Logged[], always: LogFields, least: LogLevel): Logger {
  const isEnabled = (level: LogLevel): boolean => order.indexOf(level) >= order.indexOf(least)
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (isEnabled(level)) entries.push({ level, message, fields: { ...always, ...fields } })
    }
  return {
    ...{ trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    with: (fields) => loggerInto(entries, { ...always, ...fields }, least),
    isEnabled,
  }
}
