import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it that are missing; returns whether it had to.
 *
 * Not Node's recursive form: below a folder that takes nothing new and says so oddly, as /proc does, it tries for
 * ever and never returns. Such a path may come from a configuration, or from a plugin as somebody's home.
 */
export function makeFolders(path: string, mode = 0o777): boolean {
  if (isFolder(path)) return false
  const parent = dirname(path)
  if (parent !== path) makeFolders(parent, mode)
  try {
    mkdirSync(path, { mode })
    return true
  } catch (error) {
    // Somebody else may have been faster.
    if (isFolder(path)) return false
    throw error
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    // Missing, or out of reach: making it says which.
    return false
  }
}
