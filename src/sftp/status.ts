import { FileError, type FileErrorCode } from '../base/errors.ts'
import { statusCode, type StatusCode } from './protocol.ts'

/** What a client hears: a number, and a sentence that says nothing about this machine. */
export interface Status {
  readonly code: StatusCode
  readonly message: string
}

/** Done. */
export const okStatus: Status = { code: statusCode.ok, message: 'Success' }
/** Nothing more to read or list. */
export const eofStatus: Status = { code: statusCode.eof, message: 'End of file' }
/** We do not know this request. */
export const unsupportedStatus: Status = { code: statusCode.unsupported, message: 'Operation unsupported' }
/** It could not be done, for a reason that the log has. */
export const failureStatus: Status = { code: statusCode.failure, message: 'Failure' }
/** Not allowed. */
export const deniedStatus: Status = { code: statusCode.permissionDenied, message: 'Permission denied' }
/** There is no such thing. */
export const missingStatus: Status = { code: statusCode.noSuchFile, message: 'No such file' }
const badMessageStatus: Status = { code: statusCode.badMessage, message: 'Bad message' }

/** What a client hears about anything thrown. */
export function statusOf(error: unknown): Status {
  return error instanceof FileError ? statusOfCode[error.code] : failureStatus
}

function failure(message: string): Status {
  return { code: statusCode.failure, message }
}

/** As OpenSSH maps errno: ENOTDIR and ELOOP are "no such file", ENAMETOOLONG and EINVAL are "bad message". */
const statusOfCode: Readonly<Record<FileErrorCode, Status>> = {
  'not-found': missingStatus,
  'permission-denied': deniedStatus,
  'already-exists': failure('File already exists'),
  'not-a-directory': missingStatus,
  'is-a-directory': failure('Is a directory'),
  'directory-not-empty': failure('Directory not empty'),
  'name-too-long': { code: statusCode.badMessage, message: 'Name too long' },
  'bad-message': badMessageStatus,
  'bad-handle': failure('Invalid handle'),
  'end-of-file': eofStatus,
  unsupported: unsupportedStatus,
  'cross-device': failure('Cannot move between different places'),
  'too-many-links': missingStatus,
  'not-a-regular-file': failure('Not a regular file'),
  'not-a-link': { code: statusCode.badMessage, message: 'Not a link' },
  busy: failure('Busy'),
  'too-many-open': failure('Too many open files'),
  'no-space': failure('No space left'),
  'quota-exceeded': failure('Denying write due to space limit'),
  'too-large': failure('Denying write due to file size limit'),
  'read-only': failure('Read-only place'),
  'input-output': failure('Input or output error'),
  interrupted: failure('Interrupted'),
  // What is wrong with keys and sealed bytes is the administrator's business: the log has it.
  'wrong-key': deniedStatus,
  'keeper-missing': failureStatus,
  'keeper-unavailable': failureStatus,
  'keeper-refused': deniedStatus,
  corrupted: failureStatus,
  'cut-short': failureStatus,
}
