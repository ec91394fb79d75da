import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type Accounts, openAccounts } from '../accounts/open-accounts.ts'
import { systemClock } from '../base/clock.ts'
import type { Meter } from '../base/meter.ts'
import { Scope } from '../base/scope.ts'
import type { Config } from '../config/load-config.ts'
import { bytesOf, millisecondsOf } from '../config/units.ts'
import { openControlServer } from '../control/control-server.ts'
import { type Database, openDatabase } from '../database/open-database.ts'
import { type OpenEventLog, openEventLog } from '../events/open-event-log.ts'
import { createActiveUploads } from '../files/active-uploads.ts'
import { type ProgramLogger, openLogger } from '../telemetry/logger.ts'
import { openMeters } from '../telemetry/meters.ts'
import { accountSettings } from './account-settings.ts'
import { controlOperations } from './control-operations.ts'
import { createDatabasePulse } from './database-pulse.ts'
import { createEncryptedPlaces } from './encrypted-places.ts'
import { makeFirstAccount } from './first-account.ts'
import { openKeepers } from './keeper-parts.ts'
import { tellGauges } from './gauges.ts'
import { metricsAreRead } from './metrics-are-read.ts'
import { createTelemetryDoor } from './open-telemetry.ts'
import type { Parts } from './parts.ts'
import { openPlugins } from './open-plugins.ts'
import { type NotifierRoster, createNotifierRoster } from './notifier-roster.ts'
import { authenticatorsOf, filtersOf } from './plugin-parts.ts'
import { createReloader } from './reload.ts'
import type { RunningServer, ServerOptions } from './running-server.ts'
import { type SshDoor, openSshDoor } from './ssh-door.ts'
import { openClusterDoor } from './cluster-door.ts'
import { isLeftJournal, journalName, openFileWing, sweepOldJournals } from './open-files.ts'
import { stateLayout } from './state-layout.ts'
import { holdStateFolder } from './state-lock.ts'
import { statusOf } from './status.ts'
import { programVersion } from './version.ts'

/**
 * Builds a server, part by part, and starts it. What was opened is closed again, newest first, when the server closes
 * or when a later part cannot be opened: people leave first, then events, plugins and the database.
 */
export async function createServer(options: ServerOptions): Promise<RunningServer> {
  const scope = new Scope()
  try {
    return await build(options, scope)
  } catch (error) {
    // What went wrong first is what matters.
    await scope.close().catch(() => {})
    throw error
  }
}

async function build(options: ServerOptions, scope: Scope): Promise<RunningServer> {
  const { config } = options
  const startedAt = new Date().toISOString()
  const log = options.log ?? scope.own(openLogger(logOptions(options)))
  scope.own(holdStateFolder(stateLayout(config).lock))
  const known: { parts?: Parts } = {}
  const meter = scope.own(
    openMeters(
      async (into) => {
        if (known.parts !== undefined) await tellGauges(known.parts, into)
      },
      () => metricsAreRead(known.parts?.current.config ?? config),
    ),
  )
  const opened = await openParts(options, startedAt, log, meter, scope)
  known.parts = opened.parts

  const status = () => statusOf(opened.parts, { last: reloader.last(), needRestart: reloader.needRestart() })
  const telemetry = scope.own(createTelemetryDoor(opened.parts, meter, status))
  const reloader = createReloader(opened.parts, telemetry)
  await telemetry.take(config)
  options.signal?.throwIfAborted()
  const operations = controlOperations(opened.parts, reloader, status)
  const socketPath = stateLayout(config).control
  scope.own(await openControlServer({ socketPath, operations, log: log.with({ part: 'control' }) }))
  // Last of all: its password is shown once, so nothing may fail between the two.
  const firstAccount =
    options.withoutFirstAccount === true ? undefined : await makeFirstAccount(config, opened.parts.accounts)
  log.info('server ready', { listening: opened.parts.door.ssh.addresses, version: programVersion() })

  let closing: Promise<void> | undefined
  return {
    addresses: opened.parts.door.ssh.addresses,
    hostKeys: opened.parts.door.ssh.status.hostKeys,
    firstAccount,
    log,
    status,
    reload: () => reloader.reload(),
    close(graceMs) {
      opened.setGrace(graceMs)
      closing ??= scope.close()
      return closing
    },
  }
}

function logOptions({ config, logLevel }: ServerOptions): Parameters<typeof openLogger>[0] {
  const { level, format } = config.settings.log
  return { level: logLevel ?? level, format }
}

/** The order of things. Each needs only what stands above it. */
async function openParts(
  options: ServerOptions,
  startedAt: string,
  log: ProgramLogger,
  meter: Meter,
  scope: Scope,
) {
  const { config } = options
  const current = { config }

  const database = scope.own(await openState(config, log))
  const host = scope.own(await openPlugins(options, log.with({ part: 'plugins' }), meter))
  options.signal?.throwIfAborted()
  const roster = createNotifierRoster(host)
  const events = await openEvents({ config, roster, database, log, meter }, scope)
  const keepers = openKeepers(config.settings, host)
  const encrypted = createEncryptedPlaces({
    ...{ keepers: keepers.keepers, log: log.with({ part: 'secrets' }) },
    cacheTimeMs: millisecondsOf(config.settings.kms.cache_time),
  })
  const accounts = scope.own(
    openAccountWing({ config, current, database, host, keepers, events, log, meter }),
  )
  const door = await openService(
    { options, current, accounts, events, encrypted, keepers, log, meter },
    scope,
  )
  accounts.attachSessions(door)
  const setGrace = closeDoorFirst(door, current, scope)

  const parts: Parts = {
    ...{
      options,
      current,
      startedAt,
      log,
      database,
      pulse: createDatabasePulse(database),
      host,
      roster,
      keepers,
      encrypted,
      accounts,
      events,
      door,
    },
  }
  return { parts, setGrace }
}

function openState(config: Config, log: ProgramLogger): Promise<Database> {
  const { database } = stateLayout(config)
  const place =
    database === ':memory:'
      ? { path: join(config.stateFolder, 'memory.db'), temporary: true }
      : { path: database }
  return openDatabase({ ...place, log: log.with({ part: 'database' }) })
}

interface EventNeeds {
  readonly config: Config
  readonly roster: NotifierRoster
  readonly database: Database
  readonly log: ProgramLogger
  readonly meter: Meter
}

async function openEvents(
  { config, roster, database, log, meter }: EventNeeds,
  scope: Scope,
): Promise<OpenEventLog> {
  const { durable, disk_budget: budget, when_full: whenFull, retention } = config.settings.events
  const { database: path, eventJournal: journalFile } = stateLayout(config)
  const events = await openEventLog({
    database,
    ...(path === ':memory:' ? {} : { journalFile }),
    notifiers: roster.entries(config.settings),
    settings: {
      ...{ durable, diskBudgetBytes: bytesOf(budget), whenFull },
      retention: { maxAgeMs: millisecondsOf(retention.max_age), maxBytes: bytesOf(retention.max_size) },
    },
    ...{ log: log.with({ part: 'events' }), meter },
  })
  scope.defer(() => events.close())
  return events
}

type AccountNeeds = Pick<Parts, 'current' | 'database' | 'host' | 'keepers' | 'events' | 'log'> & {
  readonly config: Config
  readonly meter: Meter
}

function openAccountWing({
  config,
  current,
  database,
  host,
  keepers,
  events,
  log,
  meter,
}: AccountNeeds): Accounts {
  const { homes } = stateLayout(config)
  return openAccounts({
    ...accountSettings(config),
    ...{
      database,
      events,
      secrets: keepers.box,
      clock: systemClock,
      log: log.with({ part: 'accounts' }),
      meter,
    },
    authenticators: () => authenticatorsOf(host, () => current.config.settings),
    filters: () => filtersOf(host),
    homeOf: (username) => join(homes, username),
  })
}

/** Everything that sessions stand on, whichever process serves them. */
type ServiceNeeds = Pick<
  Parts,
  'options' | 'current' | 'accounts' | 'events' | 'encrypted' | 'keepers' | 'log'
> & {
  readonly meter: Meter
}

/** Opens the way in: in this process, or in as many workers as the configuration asks for. */
async function openService(needs: ServiceNeeds, scope: Scope): Promise<SshDoor> {
  const { config } = needs.current
  // What is held in memory for a workshop lives in one process.
  const count = needs.options.workshop === undefined ? workerCount(config.settings.sftpd.workers) : 1
  const old = (await readdir(config.stateFolder)).filter((name) => isLeftJournal(name, count))
  const sweeping = sweepOldJournals(config, old, needs.log, needs.meter)
  scope.defer(() => sweeping)
  return count === 1 ? openOwnService(needs, scope) : openWorkers(needs, count)
}

function workerCount(setting: number | string): number {
  return typeof setting === 'number' ? setting : availableParallelism()
}

function openOwnService(
  { options, current, accounts, events, encrypted, log, meter }: ServiceNeeds,
  scope: Scope,
): Promise<SshDoor> {
  const serve = openFileWing(
    {
      ...{ current, events, encrypted, log, meter, ledger: accounts.counters },
      active: createActiveUploads(randomBytes(4).toString('hex')),
      journal: journalName(),
      inMemory: options.workshop?.filesInMemory === true,
    },
    scope,
  )
  return openSshDoor({
    ...{ config: current.config, authority: accounts.authority, serve, events, meter },
    log: log.with({ part: 'ssh' }),
    loopbackOnly: options.devPlugins === true,
  })
}

function openWorkers(
  { options, current, accounts, events, keepers, log, meter }: ServiceNeeds,
  count: number,
): Promise<SshDoor> {
  return openClusterDoor({
    ...{ config: current.config, count, events, log, meter },
    authority: accounts.authority,
    ledger: accounts.counters,
    openSecret: async (stored) => (await keepers.keepers.open(stored)).reveal(),
    hasTransferred(username) {
      const { first_upload: upload, first_download: download } = accounts.usage.of({
        kind: 'user',
        name: username,
      })
      return [
        ...(upload > 0 ? (['first-upload'] as const) : []),
        ...(download > 0 ? (['first-download'] as const) : []),
      ]
    },
    loopbackOnly: options.devPlugins === true,
  })
}

/** The door closes before all else, with the grace time that is in force then, or with the one the closer names. */
function closeDoorFirst(
  door: Parts['door'],
  current: { readonly config: Config },
  scope: Scope,
): (graceMs: number | undefined) => void {
  let asked: number | undefined
  scope.defer(() => door.close(asked ?? millisecondsOf(current.config.settings.common.grace_time)))
  return (graceMs) => {
    asked = graceMs
  }
}
