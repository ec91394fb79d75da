import { pluginName } from '../config/plugin-rules.ts'
import { millisecondsOf } from '../config/units.ts'
import type { NotifierEntry } from '../events/notifier-entry.ts'
import type { PluginSettings, Settings } from '../gen/settings.ts'
import type { FilledSlot, PluginHost } from '../host/host.ts'

/** The notifiers of one configuration after the other. */
export interface NotifierRoster {
  /** The notifiers of these settings; an entry whose settings did not change is the same object as before. */
  entries(settings: Settings): readonly NotifierEntry[]
}

/** Creates the roster over the plugin host, which has the processes. Without one nobody is ready, and all that is owed waits. */
export function createNotifierRoster(host?: PluginHost): NotifierRoster {
  let known = new Map<string, NotifierEntry>()
  return {
    entries(settings) {
      const next = new Map<string, NotifierEntry>()
      for (const [index, plugin] of settings.plugins.entries()) {
        if (plugin.type !== 'notifier' || !plugin.enabled) continue
        const name = pluginName(plugin, index)
        const key = JSON.stringify([name, plugin, settings.events.max_attempts])
        next.set(key, known.get(key) ?? notifierEntry(host, name, plugin, settings.events.max_attempts))
      }
      known = next
      return [...next.values()]
    },
  }
}

function notifierEntry(
  host: PluginHost | undefined,
  name: string,
  plugin: PluginSettings,
  mostAttempts: number,
): NotifierEntry {
  const { notifier_options: options, call_timeout: timeout, veto } = plugin
  const filled = (): FilledSlot<'notifier'> | undefined =>
    host?.configured('notifier').find((slot) => slot.name === name)
  const timeoutMs = timeout === undefined ? {} : { timeoutMs: millisecondsOf(timeout) }
  const parkAfterMs = millisecondsOf(options?.retry_max_time ?? 0)
  const alarmAbove = options?.retry_queue_max_size ?? 0
  return {
    name,
    notifier: () => filled()?.api,
    onReady: (action) =>
      host?.onReady((ready) => {
        if (ready === name) action()
      }) ?? (() => {}),
    wants: {
      files: options?.fs_events ?? [],
      logs: options?.log_events ?? [],
      providerActions: options?.provider_events ?? [],
      providerObjects: options?.provider_objects ?? [],
    },
    delivery: {
      ...timeoutMs,
      maxAttempts: options?.max_attempts ?? mostAttempts,
      ...(parkAfterMs > 0 ? { parkAfterMs } : {}),
      ...(alarmAbove > 0 ? { alarmAbove } : {}),
    },
    ...(veto ? { veto: { ...timeoutMs, ...vetoRules(plugin) } } : {}),
  }
}

function vetoRules({ when_down: whenDown, unknown_status: unknownStatus }: PluginSettings) {
  return {
    whenDown: whenDown === 'allow' ? 'allow' : 'refuse',
    unknownStatus: unknownStatus ?? 'refusal',
  } as const
}
