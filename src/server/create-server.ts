import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createLoginAuthority } from '../accounts/login.ts'
import type { LoginAuthority } from '../accounts/login-conversation.ts'
import { createStories } from '../accounts/story.ts'
import { systemClock } from '../base/clock.ts'
import type { Meter } from '../base/meter.ts'
import { Scope } from '../base/scope.ts'
import type { Config } from '../config/load-config.ts'
import { bytesOf, millisecondsOf } from '../config/units.ts'
import { openControlServer } from '../control/control-server.ts'
import { type Database, openDatabase } from '../database/open-database.ts'
import { type OpenEventLog, openEventLog } from '../events/open-event-log.ts'
import { createActiveUploads } from '../files/active-uploads.ts'
import { openPartJournal } from '../files/part-journal.ts'
import { type PluginHost, startPluginHost } from '../host/host.ts'
import { createBufferPool } from '../sftp/buffer-pool.ts'
import { packetBufferBytes } from '../sftp/serve-session.ts'
import type { OpenSession } from '../ssh/connection.ts'
import { createDisks } from '../storage/disks.ts'
import { type ProgramLogger, openLogger } from '../telemetry/logger.ts'
import { openMeters } from '../telemetry/meters.ts'
import { loginSettings, openAccounts, openAdmission, readCertificateLists } from './account-parts.ts'
import { controlOperations } from './control-operations.ts'
import { filePolicy } from './file-policy.ts'
import { makeFirstAccount } from './first-account.ts'
import { openKeepers } from './keeper-parts.ts'
import { tellGauges } from './gauges.ts'
import { createSessionOpener } from './open-sessions.ts'
import { openTelemetry } from './open-telemetry.ts'
import type { Parts } from './parts.ts'
import { pluginEntries } from './plugin-entries.ts'
import { authenticatorsOf, filtersOf, notifierEntries } from './plugin-parts.ts'
import { createReloader } from './reload.ts'
import type { RunningServer, ServerOptions } from './running-server.ts'
import { keepSessionsAllowed } from './session-guard.ts'
import { openSshDoor } from './ssh-door.ts'
import { stateLayout } from './state-layout.ts'
import { holdStateFolder } from './state-lock.ts'
import { statusOf } from './status.ts'
import { createStoredUsageLedger } from './usage-ledger.ts'
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
  const meter = scope.own(openMeters((into) => known.parts !== undefined && tellGauges(known.parts, into)))
  const opened = await openParts(options, startedAt, log, meter, scope)
  known.parts = opened.parts

  const reloader = createReloader(opened.parts)
  const status = () => statusOf(opened.parts, reloader.last())
  await openTelemetry(opened.parts, meter, status, scope)
  const operations = controlOperations(opened.parts, reloader, status)
  const socketPath = stateLayout(config).control
  scope.own(await openControlServer({ socketPath, operations, log: log.with({ part: 'control' }) }))
  log.info('server ready', { listening: opened.parts.door.ssh.addresses, version: programVersion() })

  let closing: Promise<void> | undefined
  return {
    addresses: opened.parts.door.ssh.addresses,
    hostKeys: opened.parts.door.ssh.status.hostKeys,
    firstAccount: opened.firstAccount,
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
  const clock = systemClock
  const isFirstStart = !existsSync(stateLayout(config).database)

  const database = scope.own(await openState(config, log))
  const host = scope.own(await openPlugins(options, log, meter))
  const keepers = openKeepers(config.settings, host)
  const around = { config, database, clock, log: log.with({ part: 'accounts' }), meter }
  const accounts = openAccounts(around, scope)
  const admission = openAdmission(around, () => filtersOf(host))
  const events = await openEvents({ config, current, database, host, log, meter }, scope)
  const certificates = { lists: readCertificateLists(config.settings) }
  const stories = createStories({ clock })
  const authority = createLoginAuthority({
    ...{ store: accounts.store, passwords: accounts.passwords, admission: admission.admission },
    authenticators: () => authenticatorsOf(host, () => current.config.settings),
    ...{ secrets: keepers.box, events, stories, clock, meter, log: log.with({ part: 'login' }) },
    certificates: () => certificates.lists,
    sessionsOf: (username) => door.sessionsOf(username),
    settings: loginSettings(config),
  })
  scope.defer(() => authority.close())
  const serve = openFiles({ current, accounts, events, log, meter }, scope)
  const firstAccount = isFirstStart ? await makeFirstAccount(config, accounts) : undefined
  const door = await openDoor(options, { authority, serve, events, log })
  const grace = closeDoorLast(door, current, scope)
  scope.own(keepSessionsAllowed({ store: accounts.store, door, clock, log: log.with({ part: 'accounts' }) }))

  const parts: Parts = {
    ...{ options, current, startedAt, log, database, host, keepers, accounts, admission, certificates },
    ...{ stories, events, door },
  }
  return { parts, firstAccount, setGrace: grace }
}

function openState(config: Config, log: ProgramLogger): Promise<Database> {
  const { database: path } = stateLayout(config)
  return openDatabase({ ...(path === ':memory:' ? {} : { path }), log: log.with({ part: 'database' }) })
}

function openPlugins(
  { config, devPlugins }: ServerOptions,
  log: ProgramLogger,
  meter: Meter,
): Promise<PluginHost> {
  const {
    start_timeout: timeout,
    run_from: runFrom,
    allow_plaintext: allowPlaintext,
  } = config.settings.plugin_host
  return startPluginHost({
    entries: pluginEntries(config),
    stateFolder: stateLayout(config).plugins,
    environment: config.environment,
    startTimeoutMs: millisecondsOf(timeout),
    ...{ runFrom, allowPlaintext, allowDev: devPlugins === true },
    ...{ log: log.with({ part: 'plugins' }), meter },
  })
}

interface EventNeeds {
  readonly config: Config
  readonly current: { readonly config: Config }
  readonly database: Database
  readonly host: PluginHost
  readonly log: ProgramLogger
  readonly meter: Meter
}

async function openEvents(
  { config, current, database, host, log, meter }: EventNeeds,
  scope: Scope,
): Promise<OpenEventLog> {
  const { durable, disk_budget: budget, when_full: whenFull, retention } = config.settings.events
  const events = await openEventLog({
    database,
    notifiers: notifierEntries(host, () => current.config.settings),
    settings: {
      ...{ durable, diskBudgetBytes: bytesOf(budget), whenFull },
      retention: { maxAgeMs: millisecondsOf(retention.max_age), maxBytes: bytesOf(retention.max_size) },
    },
    ...{ log: log.with({ part: 'events' }), meter },
  })
  scope.defer(() => events.close())
  return events
}

type FileNeeds = Pick<Parts, 'current' | 'accounts' | 'events'> & {
  readonly log: ProgramLogger
  readonly meter: Meter
}

function openFiles({ current, accounts, events, log, meter }: FileNeeds, scope: Scope): OpenSession {
  const { settings, stateFolder } = current.config
  const clock = systemClock
  const ledger = scope.own(createStoredUsageLedger(accounts.usage, log, () => clock.now()))
  const disks = createDisks({ clock, log: log.with({ part: 'storage' }) })
  return createSessionOpener({
    places: { disks, ledger, trackQuota: settings.data_provider.track_quota },
    policy: () => filePolicy(current.config.settings),
    ...{ events, ledger, clock, meter, log: log.with({ part: 'sftp' }), version: programVersion() },
    active: createActiveUploads(randomBytes(4).toString('hex')),
    journal: scope.own(openPartJournal(join(stateFolder, 'uploads.journal'))),
    buffers: createBufferPool({ bufferBytes: packetBufferBytes, keep: 64 }),
  })
}

interface DoorNeeds {
  readonly authority: LoginAuthority
  readonly serve: OpenSession
  readonly events: OpenEventLog
  readonly log: ProgramLogger
}

function openDoor({ config, devPlugins }: ServerOptions, { authority, serve, events, log }: DoorNeeds) {
  return openSshDoor({
    ...{ config, authority, serve, events, log: log.with({ part: 'ssh' }) },
    loopbackOnly: devPlugins === true,
  })
}

/** The door closes with the grace time that is in force then, or with the one the closer names. */
function closeDoorLast(
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
