import { existsSync, statfsSync } from 'node:fs'
import { messageOf } from '../base/errors.ts'
import { Scope } from '../base/scope.ts'
import { loadConfig } from '../config/load-config.ts'
import { formatProblem } from '../config/problems.ts'
import { millisecondsOf } from '../config/units.ts'
import { type ControlOperations, openControlServer } from '../control/control-server.ts'
import { openDatabase } from '../database/open-database.ts'
import { startSshServer } from '../ssh/ssh-server.ts'
import { openLogger } from '../telemetry/logger.ts'
import { openMeters } from '../telemetry/meters.ts'
import { openTelemetryServer } from '../telemetry/telemetry-server.ts'
import { changedSettings } from './changed-settings.ts'
import type { ReloadOutcome, RunningServer, ServerOptions, ServerStatus } from './running-server.ts'
import { sshOptions } from './ssh-options.ts'
import { stateLayout } from './state-layout.ts'
import { holdStateFolder } from './state-lock.ts'
import { programVersion } from './version.ts'

/**
 * Builds a server, part by part, and starts it. What was opened is closed again, newest first, when the server closes
 * or when a later part cannot be opened.
 */
export async function createServer(options: ServerOptions): Promise<RunningServer> {
  const scope = new Scope()
  try {
    return await build(options, scope)
  } catch (error) {
    await scope.close().catch(() => {})
    throw error
  }
}

async function build(options: ServerOptions, scope: Scope): Promise<RunningServer> {
  let config = options.config
  const layout = stateLayout(config)
  const startedAt = new Date().toISOString()
  const version = programVersion()
  const log =
    options.log ??
    scope.own(
      openLogger({
        level: options.logLevel ?? config.settings.log.level,
        format: config.settings.log.format,
      }),
    )
  scope.own(holdStateFolder(layout.lock))
  const meter = scope.own(openMeters((into) => into.set('sftpgo_connections', ssh.connections().length)))

  const database = scope.own(
    await openDatabase({
      ...(layout.database === ':memory:' ? {} : { path: layout.database }),
      log: log.with({ part: 'database' }),
    }),
  )

  const ssh = await startSshServer({
    ...sshOptions(config, { loopbackOnly: options.devPlugins === true }),
    authority: {
      admit: async () => ({ admitted: true }),
      begin: () => {
        const answer = async () =>
          ({ verdict: 'refused', methods: [], reference: '00000000', final: true }) as const
        return {
          none: answer,
          password: answer,
          queryKey: answer,
          provedKey: answer,
          keyboardInteractive: answer,
          end() {},
        }
      },
    },
    serve: () => {
      throw new Error('nobody can log in yet')
    },
    log: log.with({ part: 'ssh' }),
  })
  let graceMs = millisecondsOf(config.settings.common.grace_time)
  scope.defer(() => ssh.close(graceMs))

  let lastReload: ServerStatus['lastReload']
  const status = (): ServerStatus => ({
    pid: process.pid,
    version,
    startedAt,
    configuration: config.file,
    listening: ssh.addresses,
    connections: ssh.connections().length,
    sessions: ssh.connections().reduce((sum, { sessions }) => sum + sessions, 0),
    logLevel: log.level,
    droppedLogLines: log.droppedLines,
    lastReload,
    parts: { database: { ready: true, detail: database.driver }, disk: diskState(config.stateFolder) },
  })

  async function reload(): Promise<ReloadOutcome> {
    const at = new Date().toISOString()
    const { config: next, problems } = loadConfig(config.file)
    if (next === undefined) {
      lastReload = { at, ok: false, message: problems.map(formatProblem).join('; ') }
      log.error('configuration not taken over', { problems: problems.map(formatProblem) })
      return { ok: false, problems }
    }
    const changed = changedSettings(config.settings, next.settings)
    if (options.logLevel === undefined) log.setLevel(next.settings.log.level)
    graceMs = millisecondsOf(next.settings.common.grace_time)
    config = next
    lastReload = { at, ok: true, message: changed.length === 0 ? 'nothing had changed' : changed.join(', ') }
    log.info('configuration read again', { changed })
    return { ok: true, changed, needRestart: [] }
  }

  const operations: ControlOperations = {
    status: () => status(),
    reload: async () => {
      const outcome = await reload()
      return outcome.ok ? outcome : { ok: false, problems: outcome.problems.map(formatProblem) }
    },
  }
  scope.own(
    await openControlServer({ socketPath: layout.control, operations, log: log.with({ part: 'control' }) }),
  )

  const { telemetry } = config.settings
  if (telemetry.bind_port !== 0) {
    scope.own(
      await openTelemetryServer({
        port: telemetry.bind_port,
        address: telemetry.bind_address,
        meter,
        readiness: () => status().parts,
        ...(telemetry.certificate_file === ''
          ? {}
          : {
              certificateFile: telemetry.certificate_file,
              certificateKeyFile: telemetry.certificate_key_file,
            }),
        minTlsVersion: telemetry.min_tls_version,
      }),
    )
  }
  log.info('server ready', { version, listening: ssh.addresses, node: process.versions.node })
  return {
    addresses: ssh.addresses,
    hostKeys: ssh.status.hostKeys,
    firstAccount: undefined,
    log,
    status,
    reload,
    async close(ms) {
      graceMs = ms ?? graceMs
      await scope.close()
    },
  }
}

function diskState(folder: string): { ready: boolean; detail: string } {
  try {
    const { bavail, bsize } = statfsSync(existsSync(folder) ? folder : '/')
    const free = bavail * bsize
    return { ready: free > 16 * 1024 * 1024, detail: `${(free / 2 ** 30).toFixed(1)} GiB free` }
  } catch (error) {
    return { ready: false, detail: messageOf(error) }
  }
}
