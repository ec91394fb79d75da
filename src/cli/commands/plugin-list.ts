import type { PluginStatus } from '../../host/plugin-status.ts'
import type { StoredPackage } from '../../packages/store.ts'
import { saidOf } from '../../packages/revocations.ts'
import { resolvedEntries } from '../../server/locked-entries.ts'
import { revokedPackages } from '../../server/revoked-packages.ts'
import { pluginEntries } from '../../server/plugin-entries.ts'
import { findServer } from '../ask-server.ts'
import { type CliCommand, flag } from '../command.ts'
import { print, printJson, printTable } from '../output.ts'
import { packageContext } from '../package-context.ts'
import { readConfig } from '../read-config.ts'

/** Lists the plugins that are stored and those that are configured, with their state when a server runs. */
export const pluginList: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['plugin list', 'plugin list --json'],
  async run(input) {
    const config = readConfig(input.configFile)
    // A list is wanted most where something is missing.
    const entries = await resolvedEntries(config, { frozen: false }).catch(() => pluginEntries(config))
    const running = await runningPlugins(input.configFile)
    const stored = await packageContext(input).store.list()
    const revoked = await revokedPackages(config)
    const configured = entries.map(({ name, type, cmd, enabled, required, sha256sum }, index) => ({
      name,
      configured: 'yes',
      stored: versionsOf(stored, packageOf(config.settings.plugins[index]?.source, name)),
      slot: type,
      enabled: enabled !== false,
      required: required !== false,
      checksum: sha256sum !== undefined && sha256sum !== '',
      locked: config.settings.plugins[index]?.source === undefined || cmd !== '',
      state: running?.find((status) => status.name === name)?.state ?? 'no server runs',
      revoked: revoked.find((one) => one.name === packageOf(config.settings.plugins[index]?.source, name))
        ?.reason,
      cmd,
    }))
    const known = new Set(
      entries.map(({ name }, index) => packageOf(config.settings.plugins[index]?.source, name)),
    )
    const waiting = [...new Set(stored.map(({ manifest }) => manifest.name))].filter(
      (name) => !known.has(name),
    )
    const rows = [...configured, ...waiting.map((name) => storedOnly(stored, name))]
    if (flag(input, 'json')) return printJson(rows)
    for (const one of revoked) process.stderr.write(`WARNING: ${saidOf(one)}\n`)
    if (rows.length === 0) return print('No plugins are configured, and none is stored')
    printTable([
      ['NAME', 'SLOT', 'STORED', 'CONFIGURED', 'ENABLED', 'REQUIRED', 'CHECKSUM', 'STATE', 'CMD'],
      ...rows.map((row) => [
        ...[row.name, row.slot, row.stored.join(', ') || '-', row.configured, yes(row.enabled)],
        ...[yes(row.required), row.revoked === undefined ? checksumWord(row) : 'REVOKED'],
        ...[row.state, row.cmd],
      ]),
    ])
  },
}

/** The package that an entry runs: what `source` says after the catalog's name. */
function packageOf(source: string | undefined, name: string): string {
  return source?.split('/').at(-1) ?? name
}

function versionsOf(stored: readonly StoredPackage[], name: string): readonly string[] {
  return stored.filter(({ manifest }) => manifest.name === name).map(({ manifest }) => manifest.version)
}

/** A package that lies in the store and that no entry names. */
function storedOnly(stored: readonly StoredPackage[], name: string) {
  const slot = stored.find(({ manifest }) => manifest.name === name)?.manifest.slot ?? 'auth'
  return {
    ...{ name, configured: 'no', stored: versionsOf(stored, name), slot },
    ...{ enabled: false, required: false, checksum: true, locked: false, state: 'not configured' },
    ...{ revoked: undefined, cmd: '-' },
  }
}

async function runningPlugins(configFile: string): Promise<readonly PluginStatus[] | undefined> {
  const client = await findServer(configFile)
  if (client === undefined) return undefined
  try {
    // As the server's operation answers.
    return (await client.ask('plugin-status')) as PluginStatus[]
  } finally {
    client.close()
  }
}

/** An entry that names a package has its checksum from the lock. */
function checksumWord({
  checksum,
  locked,
}: {
  readonly checksum: boolean
  readonly locked: boolean
}): string {
  if (checksum) return 'yes'
  return locked ? 'MISSING' : 'NOT LOCKED'
}

function yes(value: boolean): string {
  return value ? 'yes' : 'no'
}
