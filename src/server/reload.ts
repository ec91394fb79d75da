import { messageOf } from '../base/errors.ts'
import { type Config, loadConfig } from '../config/load-config.ts'
import { type Problem, formatProblem } from '../config/problems.ts'
import { schemaAt } from '../config/setting-schema.ts'
import { accountSettings } from './account-settings.ts'
import { changedSettings } from './changed-settings.ts'
import type { Parts } from './parts.ts'
import { lockedEntries } from './locked-entries.ts'
import { warnOfRevoked } from './revoked-packages.ts'
import type { TelemetryDoor } from './open-telemetry.ts'
import { shippedSchemaOf } from './shipped-schemas.ts'
import type { PluginNotReady, ReloadOutcome, ServerStatus } from './running-server.ts'

/** Takes over changed configurations, one after the other. */
export interface Reloader {
  reload(): Promise<ReloadOutcome>
  /** What became of the last one. */
  last(): ServerStatus['lastReload']
  /** The settings in which the configuration differs from the one at the start, and which are read only then. */
  needRestart(): readonly string[]
}

/** Keys for which the SSH server listens anew. */
const ofTheDoor = [
  ...['common.idle_timeout', 'common.max_total_connections', 'common.max_per_host_connections'],
  ...['common.proxy_protocol', 'common.proxy_allowed', 'common.proxy_skipped', 'common.server_version'],
]

/** Creates the one who reloads. A configuration with a mistake leaves everything as it was. */
export function createReloader(parts: Parts, telemetry: Pick<TelemetryDoor, 'take'>): Reloader {
  const atStart = parts.current.config.settings
  let last: ServerStatus['lastReload']
  let line: Promise<unknown> = Promise.resolve()

  async function reload(): Promise<ReloadOutcome> {
    const outcome = await attempt(parts, telemetry)
    const at = new Date().toISOString()
    if (outcome.ok) {
      const message =
        outcome.changed.length === 0 ? 'nothing had changed' : `took over ${outcome.changed.join(', ')}`
      last = { at, ok: true, message }
      parts.log.info('configuration read again', {
        changed: outcome.changed,
        needRestart: outcome.needRestart,
      })
    } else {
      const problems = outcome.problems.map(formatProblem)
      last = { at, ok: false, message: problems.join('; ') }
      parts.log.error('configuration not taken over', { problems })
    }
    return outcome
  }

  return {
    reload() {
      const next = line.then(reload)
      line = next.catch(() => {})
      return next
    },
    last: () => last,
    needRestart: () => changedSettings(atStart, parts.current.config.settings).filter(needsRestart),
  }
}

async function attempt(parts: Parts, telemetry: Pick<TelemetryDoor, 'take'>): Promise<ReloadOutcome> {
  const before = parts.current.config
  const { config: read, problems } = loadConfig(before.file, process.env, {
    pluginSchemaOf: shippedSchemaOf,
  })
  if (read === undefined) return { ok: false, problems }
  // This process holds one state folder for its whole life.
  const next: Config = { ...read, stateFolder: before.stateFolder }
  const changed = changedSettings(before.settings, next.settings)
  let notReady
  try {
    notReady = await takeOver(parts, telemetry, next, changed)
  } catch (error) {
    const inSettings = problems.filter(({ path }) => path[0] === 'plugins' && path[2] === 'settings')
    return { ok: false, problems: inSettings.length > 0 ? inSettings : [notTaken(before.file, error)] }
  }
  return { ok: true, changed, needRestart: changed.filter(needsRestart), notReady }
}

/** Whether the schema says so of the setting: a section's key, or a key at the top. */
function needsRestart(key: string): boolean {
  return schemaAt(key.split('.'))?.['x-restart'] === true
}

/** Each part that is touched takes its settings over. What can fail comes first, so that a failure changes nothing. */
async function takeOver(
  parts: Parts,
  telemetry: Pick<TelemetryDoor, 'take'>,
  next: Config,
  changed: readonly string[],
): Promise<readonly PluginNotReady[]> {
  const { options, current, log, door, host, accounts, events, roster } = parts
  const settings = accountSettings(next)
  const entries = await lockedEntries(next, { frozen: options.frozen === true })
  await undoneOnFailure([
    [() => accounts.reload(settings), () => accounts.reload(accountSettings(current.config))],
    [() => telemetry.take(next), () => telemetry.take(current.config)],
    [async () => changed.some(isOfTheDoor) && door.replace(next)],
  ])
  accounts.applySettings(settings.login)
  if (options.logLevel === undefined) log.setLevel(next.settings.log.level)
  log.setFormat(next.settings.log.format)
  current.config = next
  await warnOfRevoked(next, log)
  // Also without a change: address filters read their lists again, and what has given up tries once more.
  const { problems } = await host.reload(entries)
  await events.takeNotifiers(roster.entries(next.settings))
  door.tell(next)
  for (const { name, reason, oldRuns } of problems) {
    log.error('plugin not ready after reload', {
      instance: name,
      code: reason.code,
      reason: reason.message,
      oldRuns,
    })
  }
  return problems.map(({ name, reason, oldRuns }) => ({ name, reason: reason.message, oldRuns }))
}

/** A step, and what takes it back. */
type Step = readonly [run: () => unknown, undo?: () => unknown]

/** Runs the steps in their order. When one fails, those before it are taken back and its error is thrown. */
async function undoneOnFailure(steps: readonly Step[]): Promise<void> {
  for (const [index, [run]] of steps.entries()) {
    try {
      await run()
    } catch (error) {
      for (const [, undo] of steps.slice(0, index).toReversed()) await undo?.()
      throw error
    }
  }
}

/** Keys of `sftpd` that are no business of the one who listens. */
const notOfTheDoor = ['sftpd.workers', 'sftpd.trusted_user_ca_keys', 'sftpd.revoked_user_certs_file']

function isOfTheDoor(key: string): boolean {
  return ofTheDoor.includes(key) || (key.startsWith('sftpd.') && !notOfTheDoor.includes(key))
}

function notTaken(file: string, error: unknown): Problem {
  return {
    code: 'conflict',
    path: [],
    place: { in: 'file', file, line: 1, column: 1 },
    message: messageOf(error),
  }
}
