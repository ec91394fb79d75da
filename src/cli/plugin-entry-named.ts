import type { PluginEntry } from '../host/plugin-entry.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

/** The entry with this name. Throws, with exit code 4, when the configuration has none. */
export function entryNamed(entries: readonly PluginEntry[], name: string): PluginEntry {
  const found = entries.find((entry) => entry.name === name)
  if (found !== undefined) return found
  const names = entries.map((entry) => entry.name).join(', ')
  throw new CommandError(exitCodes.notFound, `There is no plugin "${name}"; there are: ${names || 'none'}`)
}
