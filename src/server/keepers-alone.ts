import { silentLogger } from '../base/log.ts'
import { silentMeter } from '../base/meter.ts'
import type { Config } from '../config/load-config.ts'
import type { PluginHost } from '../host/host.ts'
import type { KeeperPlugin } from '../host/key-keepers.ts'
import { type KeeperParts, keeperPartsOf } from './keeper-parts.ts'
import { openPlugins } from './open-plugins.ts'
import { pluginEntries } from './plugin-entries.ts'

/** Keepers where no server runs. */
export interface KeepersAlone extends KeeperParts {
  close(): Promise<void>
}

/** Joins the keepers of a configuration; its kms plugins, and no others, are started when the first of them is asked. */
export function openKeepersAlone(config: Config): KeepersAlone {
  let host: Promise<PluginHost> | undefined
  const running = (): Promise<PluginHost> =>
    (host ??= openPlugins({ config }, silentLogger, silentMeter, ({ type }) => type === 'kms'))
  const plugins = pluginEntries(config).flatMap(({ name, keeper, enabled }): KeeperPlugin[] =>
    keeper === undefined || enabled === false
      ? []
      : [
          {
            ...{ name, ...keeper },
            keeper: {
              seal: async (request, call) => (await running()).ask('kms', name).seal(request, call),
              open: async (request, call) => (await running()).ask('kms', name).open(request, call),
            },
          },
        ],
  )
  return {
    ...keeperPartsOf(config.settings, () => plugins),
    async close() {
      // Plugins that did not start are gone already.
      await (await host?.catch(() => undefined))?.close()
    },
  }
}
