import type { LogFields, Logger, LogLevel } from '../../base/log.ts'
import type { SftpLogLevel } from './flags.ts'

/** Takes one line of the log, without its end. */
export type LineSink = (level: LogLevel, line: string) => void

/** Plain lines for standard error or syslog: this program must not wait for the real logger to load. */
export function createPlainLog(write: LineSink, least: SftpLogLevel): Logger {
  return logWith(write, ranks[least], {})
}

const order: readonly LogLevel[] = ['error', 'warn', 'info', 'debug', 'trace']

/** How many of our levels each of OpenSSH's lets through. */
const ranks: Readonly<Record<SftpLogLevel, number>> = {
  QUIET: 0,
  FATAL: 1,
  ERROR: 1,
  INFO: 3,
  VERBOSE: 3,
  DEBUG: 4,
  DEBUG1: 4,
  DEBUG2: 5,
  DEBUG3: 5,
}

function logWith(write: LineSink, rank: number, bound: LogFields): Logger {
  const isEnabled = (level: LogLevel): boolean => order.indexOf(level) < rank
  const tell = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (!isEnabled(level)) return
    const all = Object.entries({ ...bound, ...fields }).map(
      ([name, value]) => ` ${name}=${JSON.stringify(value)}`,
    )
    write(level, message + all.join(''))
  }
  return {
    trace: tell('trace'),
    debug: tell('debug'),
    info: tell('info'),
    warn: tell('warn'),
    error: tell('error'),
    with: (fields) => logWith(write, rank, { ...bound, ...fields }),
    isEnabled,
  }
}
