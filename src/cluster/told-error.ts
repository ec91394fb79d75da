import {
  ConfigError,
  type ConfigErrorCode,
  FileError,
  type FileErrorCode,
  SecretError,
  type SecretErrorCode,
} from '../base/errors.ts'

/** An error as it goes from one process to another. */
export interface ToldError {
  readonly name: string
  readonly code: string
  readonly message: string
}

/** What is told of anything thrown: its kind, its code and its sentence. */
export function toldErrorOf(error: unknown): ToldError {
  if (!(error instanceof Error)) return { name: 'Error', code: '', message: String(error).slice(0, 2_000) }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return { name: error.name, code, message: error.message.slice(0, 2_000) }
}

/** The error again, of the class that callers look for. */
export function errorOf(told: unknown): Error {
  // Every field is looked at before it is used.
  const { name, code, message } = (typeof told === 'object' && told !== null ? told : {}) as Record<
    string,
    unknown
  >
  const text = typeof message === 'string' ? message : 'The other process failed'
  if (typeof code !== 'string' || code === '') return new Error(text)
  // Codes are told by the same program that reads them here.
  if (name === 'FileError') return new FileError(code as FileErrorCode, text)
  if (name === 'ConfigError') return new ConfigError(code as ConfigErrorCode, text)
  if (name === 'SecretError') return new SecretError(code as SecretErrorCode, text)
  return Object.assign(new Error(text), { code })
}
