/** Fields of one log event. Never a secret, never a plugin's arguments. */
export type LogFields = Readonly<Record<string, unknown>>

/** How loud a log event is. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** Where events of the program are told: one short constant message, the rest as fields. */
export interface Logger {
  trace(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger whose events carry these fields too. */
  with(fields: LogFields): Logger
  /** Whether events of this level are written at all. */
  isEnabled(level: LogLevel): boolean
}

/** Says nothing. */
export const silentLogger: Logger = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLogger,
  isEnabled: () => false,
}
