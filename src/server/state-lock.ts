import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigError, messageOf } from '../base/errors.ts'
import { makeFolders } from '../base/make-folders.ts'
import { holdLockFile, lockFileHolder, type LockHolder } from '../native/lock-file.ts'

/** A held state folder. */
export interface StateLock {
  close(): void
}

/**
 * Holds the state folder for this process, making the folder (mode 0700) when it is missing. A lock that a dead
 * process left is replaced; a living holder is named in the error.
 */
export function holdStateFolder(lockFile: string): StateLock {
  makeFolder(dirname(lockFile))
  const attempt = holdLockFile(lockFile)
  if (attempt.held) return attempt
  if (attempt.holder !== undefined) throw held(lockFile, attempt.holder)
  throw new ConfigError('state-in-use', `Cannot hold "${dirname(lockFile)}": others keep starting there`)
}

function makeFolder(path: string): void {
  try {
    makeFolders(path, 0o700)
  } catch (cause) {
    throw new ConfigError('file-unreadable', `Cannot make the state folder "${path}": ${messageOf(cause)}`, {
      cause,
    })
  }
}

/** The process that holds a state folder right now, or undefined. */
export function stateFolderHolder(lockFile: string): number | undefined {
  return lockFileHolder(lockFile)?.pid
}

function held(lockFile: string, { pid, since }: LockHolder): ConfigError {
  const command = commandOf(pid)
  const what = command === '' ? '' : ` (${command})`
  return new ConfigError(
    'state-in-use',
    `Cannot start: the state folder "${dirname(lockFile)}" is held by process ${pid}${what} since ${since}`,
  )
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim().slice(0, 200)
  } catch {
    return ''
  }
}
