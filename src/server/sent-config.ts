import type { SentConfig } from '../cluster/contract.ts'
import type { Config } from '../config/load-config.ts'

/** A configuration as workers get it: without plugins, keys of secrets and the environment, which are the primary's. */
export function sentConfigOf({ file, folder, stateFolder, settings }: Config): SentConfig {
  const { kms } = settings
  const secrets = { ...kms.secrets, master_key: '', master_key_path: '' }
  return { file, folder, stateFolder, settings: { ...settings, plugins: [], kms: { ...kms, secrets } } }
}

/** The configuration of a worker. Where a setting came from is known to the primary. */
export function configOfSent(sent: SentConfig): Config {
  return { ...sent, environment: {}, placeOf: () => ({ in: 'default' }) }
}
