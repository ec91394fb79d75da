import { PluginError } from '../base/errors.ts'
import type { KeyKeeper } from '../slots/kms/contract.ts'
import type { PluginHost } from './host.ts'
import type { PluginEntry } from './plugin-entry.ts'

/** A kms plugin: which key addresses it seals with, and how the secrets it sealed are marked. */
export interface KeeperPlugin {
  readonly name: string
  /** As in `hashivault://...`. */
  readonly scheme: string
  readonly encryptedStatus: string
  /** Asks the process that is ready at the time of each call; throws `not-ready` while there is none. */
  readonly keeper: KeyKeeper
}

/** The kms plugins. Each scheme and each status has one at most. */
export function keeperPlugins(host: PluginHost): KeeperPlugin[] {
  return host.configured('kms').flatMap(({ name, entry }) => {
    if (entry.keeper === undefined) return []
    const keeper: KeyKeeper = {
      seal: async (request, call) => host.ask('kms', name).seal(request, call),
      open: async (request, call) => host.ask('kms', name).open(request, call),
    }
    return [{ name, ...entry.keeper, keeper }]
  })
}

/** Throws when two enabled entries would keep the same secrets. */
export function requireUniqueKeepers(entries: readonly PluginEntry[]): void {
  const seen = new Map<string, string>()
  for (const { name, keeper, enabled } of entries) {
    if (keeper === undefined || enabled === false) continue
    for (const what of [`scheme "${keeper.scheme}"`, `status "${keeper.encryptedStatus}"`]) {
      const other = seen.get(what)
      if (other !== undefined)
        throw new PluginError('failed', `"${other}" and "${name}" have the same ${what}`)
      seen.set(what, name)
    }
  }
}
