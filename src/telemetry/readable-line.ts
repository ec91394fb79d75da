import { styleText } from 'node:util'

const marks = { trace: 'gray', debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const

/** One log line for people: time, level, message, then the fields. Control characters are escaped. */
export function readableLine(json: string, colour: boolean): string {
  const { time, level, msg, ...fields } = parsed(json)
  const name = isLevel(level) ? level : 'info'
  const head = `${String(time).slice(11, 19)} ${paint(name.padEnd(5), marks[name], colour)} ${escaped(String(msg))}`
  const rest = Object.entries(fields).map(([key, value]) => `${paint(key, 'gray', colour)}=${shown(value)}`)
  return `${[head, ...rest].join('  ')}\n`
}

function parsed(json: string): Record<string, unknown> {
  return JSON.parse(json) as Record<string, unknown> // a line of our own logger
}

function isLevel(level: unknown): level is keyof typeof marks {
  return typeof level === 'string' && Object.hasOwn(marks, level)
}

function shown(value: unknown): string {
  if (typeof value === 'string' && /^[\w./:@%+-]+$/.test(value)) return value
  return escaped(JSON.stringify(value) ?? String(value))
}

function escaped(text: string): string {
  return text.replace(
    /\p{Cc}/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}

function paint(text: string, style: Parameters<typeof styleText>[0], colour: boolean): string {
  return colour ? styleText(style, text) : text
}
