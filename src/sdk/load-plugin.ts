import { silentLogger, type Logger } from '../base/log.ts'
import type { slots } from '../slots/index.ts'
import { whileLoading } from './loading.ts'
import type { Offers, Plugin } from './serve-plugin.ts'

/** What the plugin finds around it in a test. */
export interface LoadOptions {
  /** Default: an empty object. */
  readonly settings?: unknown
  /** Default: one that says nothing. */
  readonly log?: Logger
}

/**
 * Loads a plugin's file without starting a process and gives what it serves: `loadPlugin(() => import('../src/plugin.ts'))`.
 * A file is loaded once; load it again under another address (`?2`) for other settings.
 */
export async function loadPlugin(
  load: () => Promise<unknown>,
  options: LoadOptions = {},
): Promise<Offers<typeof slots>> {
  // servePlugin() takes nothing else.
  const plugin = (await whileLoading(load)) as Plugin<unknown>
  if (typeof plugin !== 'function') return plugin
  const { settings = {}, log = silentLogger } = options
  return plugin({ settings, log, signal: new AbortController().signal })
}
