import { PluginError, type PluginErrorCode } from '../base/errors.ts'

/** The status codes of gRPC, by name. */
export const status = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const

/** A status as it travels: its number and the text beside it. */
export interface WireStatus {
  readonly code: number
  readonly text: string
}

/**
 * What a plugin's status means: PERMISSION_DENIED and UNAUTHENTICATED are its "no" (`refused`), UNKNOWN says nothing
 * (`refused-or-failed`), everything else is a failure.
 */
export function errorOf({ code, text }: WireStatus, method: string): PluginError {
  const said = text === '' ? '' : `: ${text}`
  return new PluginError(meaningOf(code, text), `"${method}" ended with ${nameOf(code)}${said}`, {
    cause: { code, text },
  })
}

/** The plugin's own words, without ours around them. */
export function textOf(error: PluginError): string {
  const { cause } = error
  if (typeof cause !== 'object' || cause === null || !('text' in cause)) return error.message
  return typeof cause.text === 'string' && cause.text !== '' ? cause.text : error.message
}

/** The status that tells a host what a handler threw. A gRPC error of any library keeps its number and text. */
export function statusOf(error: unknown): WireStatus {
  if (error instanceof PluginError)
    return { code: statusOfCode[error.code] ?? status.internal, text: error.message }
  if (!(error instanceof Error)) return { code: status.internal, text: String(error) }
  const { code, details } = error as Error & { code?: unknown; details?: unknown } // Widening: both are only looked at.
  const known =
    typeof code === 'number' && Number.isInteger(code) && code > status.ok && code <= status.unauthenticated
  return {
    code: known ? code : status.internal,
    text: typeof details === 'string' && details !== '' ? details : error.message,
  }
}

function meaningOf(code: number, text: string): PluginErrorCode {
  switch (code) {
    case status.permissionDenied:
    case status.unauthenticated:
      return 'refused'
    case status.unknown:
      return 'refused-or-failed'
    case status.cancelled:
      return 'cancelled'
    case status.deadlineExceeded:
      return 'deadline'
    case status.unimplemented:
      return 'unimplemented'
    case status.resourceExhausted:
      // Every implementation says it in these words when a message is above its limit.
      return /larger than max/i.test(text) ? 'too-large' : 'overloaded'
    default:
      return 'failed'
  }
}

const statusOfCode: Partial<Record<PluginErrorCode, number>> = {
  refused: status.permissionDenied,
  'refused-or-failed': status.unknown,
  failed: status.unavailable,
  unimplemented: status.unimplemented,
  cancelled: status.cancelled,
  deadline: status.deadlineExceeded,
  overloaded: status.resourceExhausted,
  'not-ready': status.unavailable,
}

function nameOf(code: number): string {
  const name = Object.entries(status).find(([, value]) => value === code)?.[0]
  return name === undefined
    ? `status ${code}`
    : name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}
