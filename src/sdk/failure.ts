import { PluginError } from '../base/errors.ts'

/**
 * What to throw when the question cannot be answered now: a directory is down, a key service does not reply. The host
 * tells it from a refusal, tries again where that makes sense, and bans nobody for it.
 */
export function failure(message: string, cause?: unknown): Error {
  return new PluginError('failed', message, { cause })
}
