import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../base/errors.ts'
import { loadConfig } from '../config/load-config.ts'
import { formatProblem } from '../config/problems.ts'
import type { ObservedCall } from '../host/observed-call.ts'
import { openLogger } from '../telemetry/logger.ts'
import { createServer } from './create-server.ts'
import type { FirstAccount } from './running-server.ts'

/** How a throw-away server is opened. */
export interface WorkshopOptions {
  /** A private folder; whoever made it removes it. */
  readonly folder: string
  /** Entries of `plugins`, as a configuration holds them. */
  readonly plugins: readonly Readonly<Record<string, unknown>>[]
  readonly onCall: (call: ObservedCall) => void
  /** Told what the server and its plugins log. */
  readonly onLog: (record: LogRecord) => void
  /** Suspends deadlines. */
  readonly patient: boolean
}

/** A line of the log, for people. */
export interface LogRecord {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A server for one afternoon: on loopback, on a free port, with files in memory. */
export interface WorkshopServer {
  readonly port: number
  /** An account with a password, where no plugin decides who comes in. */
  readonly account: FirstAccount | undefined
  /** Takes other plugins: each new process is ready before the old one leaves. Resolves with why some were not taken. */
  take(plugins: WorkshopOptions['plugins']): Promise<readonly string[]>
  close(): Promise<void>
}

/** Opens one. Throws when the server cannot start; a plugin that does not start is told in the log. */
export async function openWorkshopServer(options: WorkshopOptions): Promise<WorkshopServer> {
  const file = join(options.folder, 'workshop.config.json')
  write(file, options.plugins, options.patient)
  const { config, problems } = loadConfig(file)
  if (config === undefined) throw new ConfigError('conflict', problems.map(formatProblem).join('\n'))
  const failures: string[] = []
  const log = openLogger({ level: 'info', format: 'json', output: outputInto(options, failures) })
  const server = await createServer({
    ...{ config, log, devPlugins: true },
    workshop: { onCall: options.onCall, patient: options.patient, filesInMemory: true },
  })
  return {
    port: server.addresses[0]?.port ?? 0,
    account: server.firstAccount,
    async take(plugins) {
      failures.length = 0
      write(file, plugins, options.patient)
      const outcome = await server.reload()
      return outcome.ok ? [...failures] : outcome.problems.map(formatProblem)
    },
    close: () => server.close(0),
  }
}

function write(file: string, plugins: WorkshopOptions['plugins'], patient: boolean): void {
  const sftpd = {
    bindings: [{ port: 0, address: '127.0.0.1' }],
    // One kind is enough here, and an RSA key takes long to make.
    host_keys: ['keys/id_ed25519'],
    ...(patient && { login_grace_time: '1h' }),
  }
  const host = patient ? { plugin_host: { start_timeout: '1h' } } : {}
  writeFileSync(file, JSON.stringify({ sftpd, ...host, plugins }), { mode: 0o600 })
}

function outputInto({ onLog }: WorkshopOptions, failures: string[]) {
  const write = (line: string): void => {
    const { level, msg, ...fields } = JSON.parse(line) as Readonly<Record<string, unknown>> // our own logger's line
    const record = { level: String(level), message: String(msg), fields }
    if (record.message === 'plugin not ready after reload') failures.push(String(fields['reason']))
    onLog(record)
  }
  return { write, dropped: 0, flush: async () => {} }
}
