import { join } from 'node:path'
import { defaultHostKeys, stateLayout } from '../../server/state-layout.ts'
import { type CliCommand, flag } from '../command.ts'
import { printJson, printTable } from '../output.ts'
import { readConfig } from '../read-config.ts'

/** Prints every folder and file that a server with this configuration uses. */
export const paths: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['paths', 'paths --json'],
  run(input) {
    const config = readConfig(input.configFile)
    const { settings, folder, file, stateFolder } = config
    const all: Record<string, string | readonly string[]> = {
      configuration: file,
      environment: join(folder, 'env.d'),
      state: stateFolder,
      ...stateLayout(config),
      hostKeys: settings.sftpd.host_keys.length > 0 ? settings.sftpd.host_keys : defaultHostKeys(config),
      ...(settings.data_provider.users_file === '' ? {} : { usersFile: settings.data_provider.users_file }),
    }
    if (flag(input, 'json')) return printJson(all)
    printTable(
      Object.entries(all).map(([name, path]) => [name, typeof path === 'string' ? path : path.join(', ')]),
    )
  },
}
