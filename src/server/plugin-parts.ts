import type { ConfiguredFilter } from '../accounts/admission.ts'
import type { ConfiguredAuthenticator } from '../accounts/authenticators.ts'
import { PluginError } from '../base/errors.ts'
import { millisecondsOf } from '../config/units.ts'
import { pluginName } from '../config/plugin-rules.ts'
import type { NotifierEntry } from '../events/notifier-entry.ts'
import type { PluginSettings, Settings } from '../gen/settings.ts'
import type { FilledSlot, PluginHost } from '../host/host.ts'
import type { Authenticator } from '../slots/auth/contract.ts'
import type { SlotApi, SlotName } from '../slots/index.ts'

/** The settings in force now; a reload exchanges them. */
export type CurrentSettings = () => Settings

/** The auth plugins in their order, as logins ask them. One that is down is in the line and says that it is. */
export function authenticatorsOf(host: PluginHost, settings: CurrentSettings): ConfiguredAuthenticator[] {
  return host.configured('auth').map((filled) => {
    const plugin = settingsOf(settings(), filled.name)
    const detail = plugin?.auth_options?.user_detail ?? 'redacted'
    return {
      name: filled.name,
      scope: filled.entry.scope ?? 0,
      authenticator: authenticatorOver(filled),
      whenDown: filled.entry.whenDown === 'next' ? 'next' : 'refuse',
      whenRefused: filled.entry.whenRefused ?? 'refuse',
      userDetail: detail === 'redacted' ? 'default' : detail,
      persist: plugin?.persist ?? false,
    }
  })
}

function authenticatorOver(filled: FilledSlot<'auth'>): Authenticator {
  return {
    checkPassword: (attempt, call) => required(filled, apiOf(filled).checkPassword)(attempt, call),
    checkPublicKey: (attempt, call) => required(filled, apiOf(filled).checkPublicKey)(attempt, call),
    beginDialogue: (attempt, call) => required(filled, apiOf(filled).beginDialogue)(attempt, call),
    continueDialogue: (step, call) => required(filled, apiOf(filled).continueDialogue)(step, call),
  }
}

/** The address filters, as admission asks them. */
export function filtersOf(host: PluginHost): ConfiguredFilter[] {
  return host.configured('ipfilter').map((filled) => ({
    name: filled.name,
    filter: { check: async (question, call) => apiOf(filled).check(question, call) },
    whenDown: filled.entry.whenDown === 'allow' ? 'allow' : 'refuse',
  }))
}

/** The notifiers of the configuration. What they want to hear follows a reload; who they are does not. */
export function notifierEntries(host: PluginHost, settings: CurrentSettings): NotifierEntry[] {
  return settings().plugins.flatMap((plugin, index) => {
    if (plugin.type !== 'notifier' || !plugin.enabled) return []
    return [notifierEntry(host, settings, pluginName(plugin, index))]
  })
}

function notifierEntry(host: PluginHost, settings: CurrentSettings, name: string): NotifierEntry {
  const filled = (): FilledSlot<'notifier'> | undefined =>
    host.configured('notifier').find((slot) => slot.name === name)
  const now = (): PluginSettings | undefined => settingsOf(settings(), name)
  const first = now()
  return {
    name,
    notifier: () => filled()?.api,
    onReady: (action) => host.onReady(action),
    get wants() {
      const options = now()?.notifier_options
      return {
        files: options?.fs_events ?? [],
        logs: options?.log_events ?? [],
        providerActions: options?.provider_events ?? [],
        providerObjects: options?.provider_objects ?? [],
      }
    },
    get delivery() {
      const options = now()?.notifier_options
      const parkAfterMs = millisecondsOf(options?.retry_max_time ?? 0)
      return {
        ...timeoutOf(now()),
        maxAttempts: options?.max_attempts ?? settings().events.max_attempts,
        ...(parkAfterMs > 0 ? { parkAfterMs } : {}),
      }
    },
    ...(first?.veto === true
      ? {
          veto: {
            ...timeoutOf(first),
            whenDown: first.when_down === 'allow' ? 'allow' : 'refuse',
            unknownStatus: first.unknown_status ?? 'refusal',
          },
        }
      : {}),
  }
}

function timeoutOf(plugin: PluginSettings | undefined): { timeoutMs?: number } {
  return plugin?.call_timeout === undefined ? {} : { timeoutMs: millisecondsOf(plugin.call_timeout) }
}

function settingsOf({ plugins }: Settings, name: string): PluginSettings | undefined {
  return plugins.find((plugin, index) => pluginName(plugin, index) === name)
}

function apiOf<N extends SlotName>({ api, name, reason }: FilledSlot<N>): SlotApi<N> {
  if (api !== undefined) return api
  throw reason ?? new PluginError('not-ready', `Plugin "${name}" is not ready`)
}

function required<T>({ name }: FilledSlot<'auth'>, method: T | undefined): T {
  if (method !== undefined) return method
  throw new PluginError('unimplemented', `Plugin "${name}" does not decide about this login method`)
}
