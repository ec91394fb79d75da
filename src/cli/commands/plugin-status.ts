import type { PluginStatus } from '../../host/plugin-status.ts'
import { askServer } from '../ask-server.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson, printTable } from '../output.ts'
import { stateText } from '../plugin-words.ts'

/** Says how the plugins of the running server are; the exit code is 1 when one that is enabled does not run. */
export const pluginStatus: CliCommand = {
  arguments: '[name]',
  options: [['--json', 'print as JSON']],
  examples: ['plugin status', 'plugin status ldap --json'],
  async run(input) {
    // As the server's operation answers.
    const all = (await askServer(input.configFile, 'plugin-status')) as PluginStatus[]
    const [name] = input.args
    const chosen = name === undefined ? all : all.filter((status) => status.name === name)
    if (flag(input, 'json')) printJson(chosen)
    else if (chosen.length === 0)
      print(name === undefined ? 'No plugins are configured' : `There is no plugin "${name}"`)
    else show(chosen)
    if (name !== undefined && chosen.length === 0) return exitCodes.notFound
    return chosen.every(
      ({ state, enabled, reason }) => !enabled || (state === 'ready' && reason === undefined),
    )
      ? exitCodes.ok
      : exitCodes.unexpected
  },
}

function show(plugins: readonly PluginStatus[]): void {
  const head = ['NAME', 'SLOT', 'STATE', 'PID', 'STARTS', 'CALLS', 'RUNS FROM']
  printTable([
    head,
    ...plugins.map((plugin) => [
      plugin.name,
      plugin.type,
      stateText(plugin),
      String(plugin.pid ?? '-'),
      String(plugin.starts),
      `${plugin.calls.answered} answered, ${plugin.calls.failed} failed`,
      plugin.runsFrom ?? '-',
    ]),
  ])
  for (const { name, reason, warning, health } of plugins) {
    if (reason !== undefined)
      print(`\n${name}: ${reason.code}\n  ${reason.message}\n  To do: ${reason.remedy}`)
    if (warning !== undefined) print(`\n${name}: ${warning}`)
    if (health === 'not-serving') print(`\n${name}: its health service says that it is not serving`)
  }
}
