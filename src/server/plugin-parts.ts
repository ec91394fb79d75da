import type { ConfiguredFilter } from '../accounts/admission.ts'
import type { ConfiguredAuthenticator } from '../accounts/authenticators.ts'
import { pluginName } from '../config/plugin-rules.ts'
import type { PluginSettings, Settings } from '../gen/settings.ts'
import { addressFilters } from '../host/address-filters.ts'
import type { PluginHost } from '../host/host.ts'
import { loginPlugins } from '../host/login-plugins.ts'

/** The settings in force now; a reload exchanges them. */
export type CurrentSettings = () => Settings

/** The auth plugins in their order, as logins ask them. One that is down is in the line and says that it is. */
export function authenticatorsOf(host: PluginHost, settings: CurrentSettings): ConfiguredAuthenticator[] {
  return loginPlugins(host).map((plugin) => {
    const own = settingsOf(settings(), plugin.name)
    const detail = own?.auth_options?.user_detail ?? 'redacted'
    return {
      ...plugin,
      userDetail: detail === 'redacted' ? 'default' : detail,
      persist: own?.persist ?? false,
    }
  })
}

/** The address filters, as admission asks them. */
export function filtersOf(host: PluginHost): ConfiguredFilter[] {
  return addressFilters(host)
}

function settingsOf({ plugins }: Settings, name: string): PluginSettings | undefined {
  return plugins.find((plugin, index) => pluginName(plugin, index) === name)
}
