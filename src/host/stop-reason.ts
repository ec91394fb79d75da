import { PluginError, messageOf } from '../base/errors.ts'

/** Why a plugin does not run, and what could help: other bytes, another try, or only a person. */
export interface StopReason {
  readonly error: PluginError
  readonly helpedBy: 'bytes' | 'time' | 'people'
}

/** What could help after an error that came up while bytes were verified (`bytes`) or a process lived (`time`). */
export function helpedBy(error: unknown, step: StopReason['helpedBy']): StopReason['helpedBy'] {
  const forPeople = ['checksum-missing', 'interpreter-unverified', 'plaintext-refused']
  if (error instanceof PluginError && error.code === 'cannot-confine') return 'people'
  // Of a running process, `plaintext-refused` says what it announced: the next one may do better.
  return step === 'bytes' && error instanceof PluginError && forPeople.includes(error.code) ? 'people' : step
}

/** Anything thrown, as the error of a plugin. */
export function asPluginError(name: string, error: unknown): PluginError {
  if (error instanceof PluginError) return error
  return new PluginError('failed', `Cannot start "${name}": ${messageOf(error)}`, { cause: error })
}
