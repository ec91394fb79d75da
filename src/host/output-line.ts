import type { LogLevel } from '../base/log.ts'
import type { OutputRecord, OutputStream } from './output.ts'

/** Whether this process has begun to tell why it dies: from then on plain lines are errors. */
export interface PanicMemory {
  panicking: boolean
}

type Line = Omit<OutputRecord, 'timeMs'>

/** Most characters of a message, and of one field's value. */
const longestMessage = 16_384
const longestValue = 1024
const mostFields = 32

/**
 * What a line means, by the rules of Go hosts: hclog's JSON, a `[LEVEL]` tag, else plain text.
 *
 * `cut`: the line is a piece of a longer one, which is never parsed.
 */
export function parseOutputLine(bytes: Buffer, stream: OutputStream, cut: boolean, panic: PanicMemory): Line {
  const text = bytes.toString('utf8').replace(/\r$/, '')
  // What a program's code prints to its standard streams is not a log: it has no levels.
  if (cut || stream !== 'stderr') return plain(text, 'debug', stream)
  return jsonLine(text, stream) ?? textLine(text, stream, panic)
}

function textLine(text: string, stream: OutputStream, panic: PanicMemory): Line {
  const tag = /^\[(TRACE|DEBUG|INFO|WARN|ERROR)\]/.exec(text)?.[1]
  // The expression has just these five, and lower-cased they are our levels.
  if (tag !== undefined) return plain(text, tag.toLowerCase() as LogLevel, stream)
  if (text.startsWith('panic: ') || text.startsWith('fatal error: ')) panic.panicking = true
  return plain(text, panic.panicking ? 'error' : 'debug', stream)
}

function plain(text: string, level: LogLevel, stream: OutputStream): Line {
  return { level, message: escaped(text, longestMessage), stream, fields: {} }
}

/** A line of hclog, or undefined when the rules for plain text apply. */
function jsonLine(text: string, stream: OutputStream): Line | undefined {
  if (!/^\s*\{/.test(text)) return undefined
  const entry = parseObject(text)
  if (entry === undefined) return undefined
  const { '@level': level, '@message': message, '@timestamp': timestamp } = entry
  // A Go host dies of a wrong type here; we show the line as it came.
  if ([level, message, timestamp].some((value) => value !== undefined && typeof value !== 'string'))
    return undefined
  if (typeof timestamp === 'string' && !hclogTime.test(timestamp)) return undefined
  const known = typeof level === 'string' ? levels[level.trim().toLowerCase()] : undefined
  if (known === undefined) return plain(text, 'debug', stream)
  return {
    level: known,
    message: escaped(typeof message === 'string' ? message : '', longestMessage),
    stream,
    fields: fieldsOf(entry),
  }
}

const levels: Readonly<Record<string, LogLevel>> = Object.assign(Object.create(null), {
  trace: 'trace',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
})

const hclogTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d)$/

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    // An object, as just checked; its values are looked at one by one.
    return value as Readonly<Record<string, unknown>>
  } catch {
    return undefined
  }
}

/** The pairs beside level, message and time: names and values as bounded, escaped text or plain values. */
function fieldsOf(entry: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const pairs = Object.entries(entry)
    .filter(([name]) => !['@level', '@message', '@timestamp', '__proto__'].includes(name))
    .slice(0, mostFields)
    .map(([name, value]) => [escaped(name, 128), fieldValue(value)])
  return Object.fromEntries(pairs)
}

function fieldValue(value: unknown): unknown {
  if (typeof value === 'string') return escaped(value, longestValue)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value
  try {
    return escaped(JSON.stringify(value), longestValue)
  } catch {
    return '[nested too deeply]'
  }
}

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const unsafe = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** Text that cannot forge a line, move a cursor or turn writing round. */
export function escaped(text: string, longest: number): string {
  const short = text.length > longest ? `${text.slice(0, longest)}… (${text.length} characters)` : text
  return short.replace(unsafe, (character) => {
    const code = character.charCodeAt(0)
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}
