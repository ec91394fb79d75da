import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import { millisecondsOf } from '../config/units.ts'
import { type PluginHost, startPluginHost } from '../host/host.ts'
import type { PluginEntry } from '../host/plugin-entry.ts'
import { lockedEntries } from './locked-entries.ts'
import { warnOfRevoked } from './revoked-packages.ts'
import type { ServerOptions } from './running-server.ts'
import { stateLayout } from './state-layout.ts'

/** Starts the plugins of a configuration, or those that `wanted` picks. */
export async function openPlugins(
  {
    config,
    devPlugins,
    frozen,
    workshop,
    signal,
  }: Pick<ServerOptions, 'config' | 'devPlugins' | 'frozen' | 'workshop' | 'signal'>,
  log: Logger,
  meter: Meter,
  wanted: (entry: PluginEntry) => boolean = () => true,
): Promise<PluginHost> {
  const {
    start_timeout: timeout,
    run_from: runFrom,
    allow_plaintext: allowPlaintext,
  } = config.settings.plugin_host
  await warnOfRevoked(config, log)
  return startPluginHost({
    entries: (await lockedEntries(config, { frozen: frozen === true })).filter(wanted),
    stateFolder: stateLayout(config).plugins,
    environment: config.environment,
    startTimeoutMs: millisecondsOf(timeout),
    ...{ runFrom, allowPlaintext, allowDev: devPlugins === true },
    ...{ log, meter },
    ...(signal !== undefined && { signal }),
    ...(workshop !== undefined && { onCall: workshop.onCall }),
    ...(workshop?.patient === true && { pace: { supervision: patientSupervision } }),
  })
}

/** A plugin in a debugger answers nobody. */
const patientSupervision = {
  ...{ healthEveryMs: 3_600_000, healthTimeoutMs: 3_600_000, callsEveryMs: 3_600_000 },
  memoryEveryMs: 500,
}
