import { formatProblem } from '../config/problems.ts'
import type { ControlOperations } from '../control/control-server.ts'
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
    status,
    async reload() {
      const outcome = await reloader.reload()
      return outcome.ok ? outcome : { ok: false, problems: outcome.problems.map(formatProblem) }
    },
  }
}
