import type { Config } from '../config/load-config.ts'
import { pluginName } from '../config/plugin-rules.ts'
import { bytesOf, millisecondsOf } from '../config/units.ts'
import type { PluginSettings } from '../gen/settings.ts'
import type { PluginEntry } from '../host/plugin-entry.ts'

/** The `plugins` of a configuration as the host takes them. Entries that name a catalog's plugin stand with what is locked. */
export function pluginEntries({ settings }: Pick<Config, 'settings'>): PluginEntry[] {
  return settings.plugins.map((plugin, index) => pluginEntry(plugin, pluginName(plugin, index)))
}

function pluginEntry(plugin: PluginSettings, name: string): PluginEntry {
  const { auth_options: auth, kms_options: kms, limits } = plugin
  return {
    name,
    type: plugin.type,
    cmd: plugin.cmd ?? '',
    args: plugin.args,
    sha256sum: plugin.sha256sum,
    interpreterSha256: plugin.interpreter_sha256,
    enabled: plugin.enabled,
    required: plugin.required,
    dev: plugin.dev,
    autoMtls: plugin.auto_mtls,
    envPrefix: plugin.env_prefix,
    envVars: plugin.env_vars,
    runFrom: plugin.run_from,
    logLevel: plugin.log_level,
    callTimeoutMs: plugin.call_timeout === undefined ? undefined : millisecondsOf(plugin.call_timeout),
    unknownStatus: plugin.unknown_status,
    limits: {
      ...{ memoryBytes: bytesOf(limits.memory), calls: limits.calls, queue: limits.queue },
      ...{ files: limits.files, processes: limits.processes },
    },
    runAs: plugin.run_as,
    settings: plugin.settings,
    whenDown: plugin.when_down,
    whenRefused: plugin.when_refused,
    ...(auth === undefined ? {} : { scope: auth.scope }),
    ...(kms === undefined ? {} : { keeper: { scheme: kms.scheme, encryptedStatus: kms.encrypted_status } }),
  }
}
