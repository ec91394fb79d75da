import { FileError } from '../base/errors.ts'
import type { OpenFile } from './backend.ts'

/** Whether a failure says that bytes are not what was written. */
export function looksBroken(error: unknown): boolean {
  return error instanceof FileError && (error.code === 'corrupted' || error.code === 'cut-short')
}

/** What a failure means: `busy` when what looks broken is a file that another process is writing at this moment. */
export async function meantBy(error: unknown, file: OpenFile): Promise<unknown> {
  if (!looksBroken(error) || (await file.claimed?.()) !== true) return error
  return new FileError('busy', 'Cannot read an encrypted file: another process is writing it', {
    cause: error,
  })
}
