import { FileError } from './errors.ts'

/** What Node's own file calls throw when a note of ours cannot be written, in our words. */
export function diskErrorOf(error: unknown, sentence: string): FileError {
  const named = typeof error === 'object' && error !== null && 'code' in error
  const code = named ? String(error.code) : 'unknown error'
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  return new FileError(isFull ? 'no-space' : 'input-output', `${sentence}: ${code}`, { cause: error })
}
