import { readFileSync } from 'node:fs'
import type { SecretBox } from '../accounts/secret-box.ts'
import { millisecondsOf } from '../config/units.ts'
import type { Settings } from '../gen/settings.ts'
import type { PluginHost } from '../host/host.ts'
import { type KeeperPlugin, keeperPlugins } from '../host/key-keepers.ts'
import { type Keepers, createKeepers } from '../secrets/keepers.ts'
import { Secret } from '../secrets/secret.ts'

/** What seals and opens stored secrets. */
export interface KeeperParts {
  readonly keepers: Keepers
  /** The same, as accounts use it. */
  readonly box: SecretBox
}

/** Joins the local keepers and the kms plugins of a configuration. */
export function openKeepers(settings: Settings, host: PluginHost): KeeperParts {
  return keeperPartsOf(settings, () => keeperPlugins(host))
}

/** The same for plugins that come from elsewhere. */
export function keeperPartsOf({ kms }: Settings, plugins: () => readonly KeeperPlugin[]): KeeperParts {
  const keepers = createKeepers({
    url: kms.secrets.url,
    masterKey: masterKeyOf({ kms }),
    cacheTimeMs: millisecondsOf(kms.cache_time),
    plugins: () =>
      plugins().map(({ name, scheme, encryptedStatus, keeper }) => ({
        ...{ name, scheme, status: encryptedStatus },
        keeper: () => keeper,
      })),
  })
  return {
    keepers,
    box: {
      seal: (text, additionalData) => keepers.seal(new Secret(text), additionalData),
      open: async (secret) => (await keepers.open(secret)).reveal(),
    },
  }
}

/** The server's own master key, or empty. */
export function masterKeyOf({ kms }: Pick<Settings, 'kms'>): string {
  const { master_key: key, master_key_path: path } = kms.secrets
  return path === '' ? key : readFileSync(path, 'utf8').trim()
}
