import { messageOf } from '../base/errors.ts'
import type { LogFields, Logger, LogLevel } from '../base/log.ts'

/** Where lines go, and what is left out. */
export interface PluginLogOptions {
  readonly write: (line: string) => void
  /** Shown as the module. Default: none. */
  readonly name?: string
  /** Default: trace; the host filters by the level of the entry. */
  readonly level?: LogLevel
}

/** A logger whose lines every go-plugin host understands: JSON with `@level`, `@message` and `@timestamp`. */
export function createPluginLog(options: PluginLogOptions, fields: LogFields = {}): Logger {
  const lowest = levels.indexOf(options.level ?? 'trace')
  const log = (level: LogLevel, message: string, more: LogFields = {}): void => {
    if (levels.indexOf(level) < lowest) return
    options.write(`${lineOf(level, message, options.name, { ...fields, ...more })}\n`)
  }
  return {
    trace: (message, more) => log('trace', message, more),
    debug: (message, more) => log('debug', message, more),
    info: (message, more) => log('info', message, more),
    warn: (message, more) => log('warn', message, more),
    error: (message, more) => log('error', message, more),
    with: (more) => createPluginLog(options, { ...fields, ...more }),
    isEnabled: (level) => levels.indexOf(level) >= lowest,
  }
}

const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']

/** Hosts read lines of up to 64 KiB; a longer one arrives in unreadable pieces. */
const longestLine = 60 * 1024

function lineOf(level: LogLevel, message: unknown, name: string | undefined, fields: LogFields): string {
  const head = {
    '@level': level,
    // A Go host dies of a message that is not a string, whatever a caller without types passes.
    '@message': shortened(typeof message === 'string' ? message : textOf(message), 8_192),
    '@timestamp': timestamp(),
    ...(name !== undefined && { '@module': name }),
  }
  const whole = JSON.stringify({ ...safeFields(fields), ...head })
  if (Buffer.byteLength(whole) <= longestLine) return whole
  const short = Object.entries(safeFields(fields)).map(
    ([key, value]) => [key, shortened(textOf(value), 512)] as const,
  )
  const cut = JSON.stringify({ ...Object.fromEntries(short.slice(0, 32)), ...head })
  return Buffer.byteLength(cut) <= longestLine ? cut : JSON.stringify(head)
}

/** Go's parser takes exactly six digits after the second; JavaScript has three. */
function timestamp(): string {
  return new Date().toISOString().replace('Z', '000Z')
}

function safeFields(fields: LogFields): Record<string, unknown> {
  const safe: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields)) {
    // Names with @ belong to the format.
    const name = shortened(key.replace(/^@+/, ''), 128)
    if (value !== undefined && name !== '' && name !== '__proto__') safe[name] = plain(value)
  }
  return safe
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (value instanceof Error) return messageOf(value)
  return textOf(value)
}

/** Any value as text, whatever is wrong with it. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Error) return messageOf(value)
  try {
    return (
      JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)) ??
      String(value)
    )
  } catch {
    return '[unprintable]'
  }
}

function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text
}
