import { FileError, type FileErrorCode } from '../base/errors.ts'

/** The `FileError` for a C error number, or for a negative one as Node's errors carry it. */
export function fileErrorOf(errno: number, sentence: string, options?: ErrorOptions): FileError {
  const row = rows[Math.abs(errno)]
  const name = row?.[0] ?? `errno ${Math.abs(errno)}`
  return withoutStack(() => new FileError(row?.[1] ?? 'input-output', `${sentence}: ${name}`, options))
}

/** A client that asks for a missing name is no incident: the stack says nothing and costs more than the call. */
function withoutStack<T>(make: () => T): T {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = limit
  }
}

/** Turns what Node's own `fs` throws into a `FileError`; a `FileError` stays what it is. */
export function fileErrorFrom(error: unknown, sentence: string): FileError {
  if (error instanceof FileError) return error
  const errno = errnoOf(error)
  if (errno !== 0) return fileErrorOf(errno, sentence, { cause: error })
  return new FileError('input-output', sentence, { cause: error })
}

/** The error number inside an error of Node's `fs`, positive; 0 where there is none. */
export function errnoOf(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('errno' in error)) return 0
  return typeof error.errno === 'number' ? Math.abs(error.errno) : 0
}

/** The error numbers of Linux that our code asks for by name; the same on x86-64 and arm64. */
export const errnos = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EBADF: 9,
  EAGAIN: 11,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENXIO: 6,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  EOPNOTSUPP: 95,
} as const

/** Number -> name and our word. What is missing is an input-output failure. */
const rows: Readonly<Record<number, readonly [string, FileErrorCode]>> = {
  1: ['EPERM', 'permission-denied'],
  2: ['ENOENT', 'not-found'],
  4: ['EINTR', 'interrupted'],
  5: ['EIO', 'input-output'],
  6: ['ENXIO', 'not-a-regular-file'],
  9: ['EBADF', 'bad-handle'],
  11: ['EAGAIN', 'busy'],
  12: ['ENOMEM', 'input-output'],
  13: ['EACCES', 'permission-denied'],
  16: ['EBUSY', 'busy'],
  17: ['EEXIST', 'already-exists'],
  18: ['EXDEV', 'cross-device'],
  19: ['ENODEV', 'not-a-regular-file'],
  20: ['ENOTDIR', 'not-a-directory'],
  21: ['EISDIR', 'is-a-directory'],
  22: ['EINVAL', 'bad-message'],
  23: ['ENFILE', 'too-many-open'],
  24: ['EMFILE', 'too-many-open'],
  25: ['ENOTTY', 'unsupported'],
  26: ['ETXTBSY', 'busy'],
  27: ['EFBIG', 'too-large'],
  28: ['ENOSPC', 'no-space'],
  29: ['ESPIPE', 'not-a-regular-file'],
  30: ['EROFS', 'read-only'],
  // No room for one more name of that file.
  31: ['EMLINK', 'no-space'],
  36: ['ENAMETOOLONG', 'name-too-long'],
  38: ['ENOSYS', 'unsupported'],
  39: ['ENOTEMPTY', 'directory-not-empty'],
  40: ['ELOOP', 'too-many-links'],
  75: ['EOVERFLOW', 'too-large'],
  95: ['EOPNOTSUPP', 'unsupported'],
  116: ['ESTALE', 'input-output'],
  122: ['EDQUOT', 'quota-exceeded'],
}
