import { readFileSync } from 'node:fs'
import { ConfigError } from '../base/errors.ts'
import type { Scope } from '../base/scope.ts'
import type { ProgramMeter } from '../telemetry/meters.ts'
import { openTelemetryServer } from '../telemetry/telemetry-server.ts'
import type { Parts } from './parts.ts'
import type { ServerStatus } from './running-server.ts'

/** Opens the HTTP listener for health and metrics where the configuration asks for one. */
export async function openTelemetry(
  { current, accounts, log }: Parts,
  meter: ProgramMeter,
  status: () => ServerStatus,
  scope: Scope,
): Promise<void> {
  const { telemetry } = current.config.settings
  if (telemetry.bind_port === 0) return
  const names = telemetry.auth_user_file === '' ? undefined : readNames(telemetry.auth_user_file)
  const server = await openTelemetryServer({
    port: telemetry.bind_port,
    address: telemetry.bind_address,
    meter,
    readiness: () => status().parts,
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
  scope.own(server)
  log.info('telemetry listening', { address: telemetry.bind_address, port: server.port })
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
