import { FileError } from '../base/errors.ts'
import type { FileAttributes } from '../base/file.ts'
import { recovering, type Soon } from '../base/soon.ts'

/** What `look` finds, and undefined in the place of `not-found`. */
export function missingIsNothing(look: () => Soon<FileAttributes>): Soon<FileAttributes | undefined> {
  return recovering<FileAttributes | undefined>(look, (error) => {
    if (error instanceof FileError && error.code === 'not-found') return undefined
    throw error
  })
}
