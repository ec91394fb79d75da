import { messageOf, PluginError } from '../../base/errors.ts'
import type { ObservedCall } from '../../host/observed-call.ts'

/** The title of the table of calls. */
export const callTitle = line('TIME', 'METHOD', 'USER', 'MS', 'DECISION')

/** One call as a line of the table. Never shows what is secret in it. */
export function callLine({ method, question, outcome, tookMs }: ObservedCall, now = new Date()): string {
  const time = now.toTimeString().slice(0, 8)
  return line(time, method, whoIn(question), tookMs.toFixed(1), decisionOf(outcome))
}

function line(time: string, method: string, who: string, ms: string, decision: string): string {
  return `${time.padEnd(8)}  ${method.padEnd(16)}  ${who.padEnd(16)}  ${ms.padStart(7)}  ${decision}`
}

/** The user, or the address where nobody has said a name yet. */
function whoIn(question: unknown): string {
  for (const key of ['username', 'objectName', 'address']) {
    const value = property(question, key)
    if (typeof value === 'string' && value !== '') return printable(value, 16)
  }
  return '-'
}

function decisionOf(outcome: ObservedCall['outcome']): string {
  if ('error' in outcome) {
    const { error } = outcome
    const code = error instanceof PluginError ? error.code : 'failed'
    return `${code}: ${printable(messageOf(error), 200)}`
  }
  const { answer } = outcome
  const reason = property(answer, 'reason')
  const because = typeof reason === 'string' ? `: ${printable(reason, 200)}` : ''
  if (property(answer, 'granted') === true) return 'granted'
  if (property(answer, 'allowed') === true) return 'allowed'
  if (property(answer, 'granted') === false || property(answer, 'allowed') === false)
    return `refused${because}`
  const next = property(answer, 'next')
  return typeof next === 'string' ? `${next}${because}` : `done${because}`
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, key)?.value
    : undefined
}

/** What comes from a client or a plugin must not steer the terminal. */
function printable(text: string, length: number): string {
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
  return plain.length > length ? `${plain.slice(0, length - 1)}…` : plain
}
