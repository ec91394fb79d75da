import type { PluginStatus } from '../../host/plugin-status.ts'
import { resolvedEntries } from '../../server/locked-entries.ts'
import { pluginEntries } from '../../server/plugin-entries.ts'
import { findServer } from '../ask-server.ts'
import { type CliCommand, flag } from '../command.ts'
import { print, printJson, printTable } from '../output.ts'
import { readConfig } from '../read-config.ts'

/** Lists the configured plugins, with their state when a server runs. */
export const pluginList: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['plugin list', 'plugin list --json'],
  async run(input) {
    const config = readConfig(input.configFile)
    // A list is wanted most where something is missing.
    const entries = await resolvedEntries(config, { frozen: false }).catch(() => pluginEntries(config))
    const running = await runningPlugins(input.configFile)
    const rows = entries.map(({ name, type, cmd, enabled, required, sha256sum }) => ({
      name,
      slot: type,
      enabled: enabled !== false,
      required: required !== false,
      checksum: sha256sum !== undefined && sha256sum !== '',
      state: running?.find((status) => status.name === name)?.state ?? 'no server runs',
      cmd,
    }))
    if (flag(input, 'json')) return printJson(rows)
    if (rows.length === 0) return print('No plugins are configured')
    printTable([
      ['NAME', 'SLOT', 'ENABLED', 'REQUIRED', 'CHECKSUM', 'STATE', 'CMD'],
      ...rows.map((row) => [
        ...[row.name, row.slot, yes(row.enabled), yes(row.required), row.checksum ? 'yes' : 'MISSING'],
        ...[row.state, row.cmd],
      ]),
    ])
  },
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

function yes(value: boolean): string {
  return value ? 'yes' : 'no'
}
