import { existsSync, readFileSync, rmSync } from 'node:fs'
import { replaceConfig } from '../config/edit-plugins.ts'
import { changeLock, readLock, withLocked } from '../packages/lock.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import type { PackageContext } from './package-context.ts'
import { type ReloadAnswer, reloadServer } from './reload-server.ts'

/** What is changed: the entries that have to become ready with it, and the package whose lock may change. */
export interface PluginChange {
  /** By their names in the new text. */
  readonly entries: (text: string) => readonly string[]
  readonly package: string
  /** Changes the lock as it likes, and returns the new text of the configuration. */
  readonly change: (text: string) => Promise<string>
}

/**
 * Changes configuration and lock together and has the running server take both. What does not become ready leaves
 * nothing behind: the old entry, the old lock and the old process are in force again, and the reason is thrown.
 */
export async function changePlugins(
  { configFile, lockFile }: Pick<PackageContext, 'configFile' | 'lockFile'>,
  { entries, package: name, change }: PluginChange,
): Promise<'ready' | 'no server'> {
  const before = readFileSync(configFile, 'utf8')
  const hadLock = existsSync(lockFile)
  const lockedBefore = (await readLock(lockFile)).plugins[name]
  try {
    const text = await change(before)
    if (text !== before) replaceConfig(configFile, text)
    return requireReady(entries(text), await reloadServer(configFile))
  } catch (error) {
    replaceConfig(configFile, before)
    if (hadLock) await changeLock(lockFile, (lock) => withLocked(lock, name, lockedBefore))
    else rmSync(lockFile, { force: true })
    await reloadServer(configFile).catch(() => {}) // the reason that counts is the first one
    throw error
  }
}

/** Throws unless the server has taken everything and the entries are ready. */
function requireReady(entries: readonly string[], answer: ReloadAnswer | undefined): 'ready' | 'no server' {
  if (answer === undefined) return 'no server'
  if (!answer.ok)
    throw new CommandError(
      exitCodes.invalid,
      `The server did not take the configuration, so nothing was changed:\n${answer.problems.join('\n')}`,
    )
  const problem = answer.notReady.find(({ name }) => entries.includes(name))
  if (problem === undefined) return 'ready'
  throw new CommandError(
    exitCodes.unexpected,
    `"${problem.name}" did not become ready, so nothing was changed: ${problem.reason}`,
  )
}
