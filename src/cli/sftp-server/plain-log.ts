import type { Writable } from 'node:stream'
import type { LogFields, Logger, LogLevel } from '../../base/log.ts'
import type { SftpLogLevel } from './flags.ts'

/** Plain lines for standard error: this program must not wait for the real logger to load. */
export function createPlainLog(output: Writable, least: SftpLogLevel): Logger {
  return logWith(output, ranks[least], {})
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

function logWith(output: Writable, rank: number, bound: LogFields): Logger {
  const isEnabled = (level: LogLevel): boolean => order.indexOf(level) < rank
  const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (!isEnabled(level)) return
    const all = Object.entries({ ...bound, ...fields }).map(
      ([name, value]) => ` ${name}=${JSON.stringify(value)}`,
    )
    output.write(`sftp-server[${process.pid}]: ${level}: ${message}${all.join('')}\n`)
  }
  return {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    with: (fields) => logWith(output, rank, { ...bound, ...fields }),
    isEnabled,
  }
}
