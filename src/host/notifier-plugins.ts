import type { Notifier } from '../slots/notifier/contract.ts'
import type { PluginHost } from './host.ts'

/** A notifier plugin: told of every event its entry lists, independently of the others. */
export interface NotifierPlugin {
  readonly name: string
  /** The notifier that is ready now; an event waits while there is none. */
  notifier(): Notifier | undefined
  /** Calls `action` each time its process becomes ready; the returned function ends that. */
  onReady(action: () => void): () => void
}

/** The notifier plugins. */
export function notifierPlugins(host: PluginHost): NotifierPlugin[] {
  return host.configured('notifier').map(({ name }) => ({
    name,
    notifier: () => host.filled('notifier').find((filled) => filled.name === name)?.api,
    onReady: (action) =>
      host.onReady((ready) => {
        if (ready === name) action()
      }),
  }))
}
