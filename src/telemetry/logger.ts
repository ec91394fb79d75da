import { isatty } from 'node:tty'
import { type Logger as PinoLogger, type LoggerOptions, pino, stdTimeFunctions } from 'pino'
import type { LogFields, LogLevel, Logger } from '../base/log.ts'
import { type BoundedOutput, openBoundedOutput } from './bounded-output.ts'
import { readableLine } from './readable-line.ts'

/** The program's logger: JSON lines or lines for people, on standard error. */
export interface ProgramLogger extends Logger {
  setLevel(level: LogLevel): void
  setFormat(format: LogFormat): void
  readonly level: LogLevel
  /** Lines given up because standard error was blocked. */
  readonly droppedLines: number
  /** Waits until all is written, at most half a second. */
  close(): Promise<void>
}

/** How lines look: `auto` is text on a terminal, JSON elsewhere. */
export type LogFormat = 'auto' | 'json' | 'text'

/** What a logger is made of. */
export interface ProgramLoggerOptions {
  readonly level: LogLevel
  /** Default `auto`. */
  readonly format?: LogFormat
  /** On every line. */
  readonly fields?: LogFields
  /** Default: standard error. */
  readonly output?: BoundedOutput
}

/** Names of fields that are never written, whatever a caller puts there. */
const hiddenFields = [
  ...['password', 'passphrase', 'privateKey', 'private_key', 'secret', 'token', 'masterKey', 'master_key'],
  ...['args', 'answers', 'authorization', 'credential', 'payload'],
]

/** Creates the logger. It never throws and never makes the caller wait. */
export function openLogger({ level, format = 'auto', fields, output }: ProgramLoggerOptions): ProgramLogger {
  const out = output ?? openBoundedOutput(2)
  const onTerminal = output === undefined && isatty(2)
  const isText = (asked: LogFormat): boolean => asked === 'text' || (asked === 'auto' && onTerminal)
  let text = isText(format)
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: hiddenFields.flatMap((name) => [name, `*.${name}`]), censor: '(hidden)' },
  }
  const bare = pino(options, {
    write: (line: string) => out.write(text ? readableLine(line, onTerminal) : line),
  })
  const root = fields === undefined ? bare : bare.child(fields)
  // Children keep the level they were made with, so each asks this one.
  let current = level
  const shared = { enabled: (asked: LogLevel) => order[asked] >= order[current] }
  return {
    ...wrapped(root, shared),
    setLevel(next) {
      current = next
    },
    setFormat(next) {
      text = isText(next)
    },
    get level() {
      return current
    },
    get droppedLines() {
      return out.dropped
    },
    close: () => out.flush(500),
  }
}

const order: Readonly<Record<LogLevel, number>> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 }

function wrapped(logger: PinoLogger, shared: { enabled(level: LogLevel): boolean }): Logger {
  // The level is decided here, so that a change reaches every child at once.
  logger.level = 'trace'
  const write =
    (level: LogLevel): Logger['info'] =>
    (message, fields) => {
      if (shared.enabled(level)) logger[level](fields ?? {}, message)
    }
  return {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    with: (fields) => wrapped(logger.child(fields), shared),
    isEnabled: (level) => shared.enabled(level),
  }
}
