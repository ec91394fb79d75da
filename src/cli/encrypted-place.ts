import { readFileSync } from 'node:fs'
import type { FilesystemConfig } from '../accounts/user.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

/** The filesystem of a user whose passphrase is the first line of `file`; whoever stores it seals it. */
export function encryptedPlace(file: string): FilesystemConfig {
  return { provider: 4, cryptconfig: { passphrase: { status: 'Plain', payload: firstLineOf(file) } } }
}

/** The passphrase that is the first line of `file`. */
export function firstLineOf(file: string): string {
  const payload = readFileSync(file, 'utf8').split('\n')[0]?.replace(/\r$/, '') ?? ''
  if (payload === '')
    throw new CommandError(exitCodes.invalid, `"${file}" has no passphrase in its first line`)
  return payload
}
