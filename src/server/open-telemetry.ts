import { readFileSync, statSync } from 'node:fs'
import { ConfigError } from '../base/errors.ts'
import type { Closable } from '../base/scope.ts'
import type { Config } from '../config/load-config.ts'
import type { TelemetrySettings } from '../gen/settings.ts'
import type { ProgramMeter } from '../telemetry/meters.ts'
import { type TelemetryServer, openTelemetryServer } from '../telemetry/telemetry-server.ts'
import type { Parts } from './parts.ts'
import type { ServerStatus } from './running-server.ts'

/** The HTTP listener for health and metrics, which a reload may exchange. */
export interface TelemetryDoor extends Closable {
  /** Listens as `config` says, which may be nowhere. When that fails, what was there before stays and the error is thrown. */
  take(config: Config): Promise<void>
}

/** Creates the door; it opens where a configuration asks for it. */
export function createTelemetryDoor(
  { accounts, pulse, log }: Pick<Parts, 'accounts' | 'pulse' | 'log'>,
  meter: ProgramMeter,
  status: () => ServerStatus,
): TelemetryDoor {
  let open: TelemetryServer | undefined
  let settings = closed
  let files = ''

  const start = (next: TelemetrySettings): Promise<TelemetryServer> | undefined =>
    next.bind_port === 0 ? undefined : startTelemetry(next, { accounts, pulse, log, meter, status })
  return {
    async take({ settings: { telemetry: next } }) {
      const there = filesOf(next)
      if (there === files && JSON.stringify(next) === JSON.stringify(settings)) return
      await open?.close()
      try {
        open = await start(next)
      } catch (error) {
        open = await start(settings)
        throw error
      }
      settings = next
      files = there
    },
    close: async () => open?.close(),
  }
}

const closed: TelemetrySettings = {
  ...{ bind_port: 0, bind_address: '', auth_user_file: '', certificate_file: '', certificate_key_file: '' },
  min_tls_version: 12,
}

/** Changes when a certificate was renewed or the file of names was edited. */
function filesOf(settings: TelemetrySettings): string {
  const { auth_user_file: names, certificate_file: certificate, certificate_key_file: key } = settings
  const stamps = [names, certificate, key].map((file) => {
    const stat = file === '' ? undefined : statSync(file, { throwIfNoEntry: false })
    return stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeMs}`
  })
  return stamps.join('\n')
}

interface TelemetryNeeds extends Pick<Parts, 'accounts' | 'pulse' | 'log'> {
  readonly meter: ProgramMeter
  readonly status: () => ServerStatus
}

async function startTelemetry(
  telemetry: TelemetrySettings,
  { accounts, pulse, log, meter, status }: TelemetryNeeds,
): Promise<TelemetryServer> {
  const names = telemetry.auth_user_file === '' ? undefined : readNames(telemetry.auth_user_file)
  const server = await openTelemetryServer({
    port: telemetry.bind_port,
    address: telemetry.bind_address,
    meter,
    async readiness() {
      await pulse.take()
      return status()
    },
    minTlsVersion: telemetry.min_tls_version,
    ...(telemetry.certificate_file === ''
      ? {}
      : { certificateFile: telemetry.certificate_file, certificateKeyFile: telemetry.certificate_key_file }),
    ...(names === undefined
      ? {}
      : {
          mayAsk: async (name: string, password: string) =>
            (await accounts.passwords.verify(names.get(name), password, 'telemetry')).result === 'match',
        }),
  })
  log.info('telemetry listening', { address: telemetry.bind_address, port: server.port })
  return server
}

/** Reads lines of `NAME:HASH`, as htpasswd writes them. */
function readNames(file: string): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  for (const [index, raw] of readFileSync(file, 'utf8').split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const cut = line.indexOf(':')
    if (cut <= 0) throw new ConfigError('syntax', `Cannot use "${file}": line ${index + 1} is not NAME:HASH`)
    names.set(line.slice(0, cut), line.slice(cut + 1))
  }
  return names
}
