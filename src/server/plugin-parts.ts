import type { ConfiguredFilter } from '../accounts/admission.ts'
import type { ConfiguredAuthenticator } from '../accounts/authenticators.ts'
import { PluginError } from '../base/errors.ts'
import { pluginName } from '../config/plugin-rules.ts'
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
