import { formatProblem } from '../config/problems.ts'
import type { ControlOperations } from '../control/control-server.ts'
import { openEventArchive } from '../events/event-archive.ts'
import { createEventOperations } from '../events/event-operations.ts'
import { createKmsOperations } from './kms-operations.ts'
import type { Parts } from './parts.ts'
import { pluginOperations } from './plugin-operations.ts'
import type { Reloader } from './reload.ts'
import type { ServerStatus } from './running-server.ts'

/** Everything commands can ask of a running server. Each area brings its own table; names do not overlap. */
export function controlOperations(
  parts: Parts,
  reloader: Reloader,
  status: () => ServerStatus,
): ControlOperations {
  return {
    ...parts.accounts.operations,
    ...pluginOperations(parts.host),
    ...eventOperations(parts),
    ...kmsOperations(parts),
    async status() {
      await parts.pulse.take()
      return status()
    },
    async reload() {
      const outcome = await reloader.reload()
      return outcome.ok ? outcome : { ok: false, problems: outcome.problems.map(formatProblem) }
    },
  }
}

/** What commands ask about secrets. */
function kmsOperations({ current, accounts, keepers, encrypted, log }: Parts): ControlOperations {
  return createKmsOperations({
    ...{ store: accounts.store, keepers: keepers.keepers, encrypted },
    config: () => current.config,
    log: log.with({ part: 'secrets' }),
  })
}

/** What commands ask about events. */
function eventOperations({ database, roster, current, log }: Parts): ControlOperations {
  const archive = openEventArchive({
    database,
    notifiers: () => roster.entries(current.config.settings),
    now: () => Date.now(),
  })
  return createEventOperations({ archive, log: log.with({ part: 'events' }) })
}
