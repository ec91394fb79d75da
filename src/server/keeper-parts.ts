import { readFileSync } from 'node:fs'
import type { SecretBox } from '../accounts/secret-box.ts'
import { millisecondsOf } from '../config/units.ts'
import type { Settings } from '../gen/settings.ts'
import type { PluginHost } from '../host/host.ts'
import { keeperPlugins } from '../host/key-keepers.ts'
import { type Keepers, createKeepers } from '../secrets/keepers.ts'
import { Secret } from '../secrets/secret.ts'

/** What seals and opens stored secrets. */
export interface KeeperParts {
  readonly keepers: Keepers
  /** The same, as accounts use it. */
  readonly box: SecretBox
}

/** Joins the local keepers and the kms plugins of a configuration. Throws a `SecretError` for a URL nobody serves. */
export function openKeepers({ kms }: Settings, host: PluginHost): KeeperParts {
  const { url, master_key: key, master_key_path: path } = kms.secrets
  const keepers = createKeepers({
    url,
    masterKey: path === '' ? key : readFileSync(path, 'utf8').trim(),
    cacheTimeMs: millisecondsOf(kms.cache_time),
    plugins: keeperPlugins(host).map(({ name, scheme, encryptedStatus, keeper }) => ({
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
