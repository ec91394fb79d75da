import { loadConfig } from '../../config/load-config.ts'
import { PackageError } from '../../base/errors.ts'
import { forget } from '../../packages/install.ts'
import type { CliCommand } from '../command.ts'
import { print } from '../output.ts'
import { packageContext } from '../package-context.ts'

/** Takes a package out of the lock and every version of it out of the store. */
export const pluginRemove: CliCommand = {
  arguments: '<name>',
  examples: ['plugin remove acme-auth'],
  async run(input) {
    const [name = ''] = input.args
    const user = loadConfig(input.configFile).config?.settings.plugins.find(
      ({ source }) => source === name || source?.endsWith(`/${name}`) === true,
    )
    if (user?.enabled === true) {
      throw new PackageError(
        'in-use',
        `The entry "${user.name ?? user.type}" uses "${name}": run "sftpgo-ts plugin disable ${user.name ?? user.type}" first`,
      )
    }
    const context = packageContext(input)
    await forget(name, context)
    const stored = (await context.store.list()).filter(({ manifest }) => manifest.name === name)
    for (const one of stored) await context.store.remove(one.archiveSha256)
    print(
      `Removed ${name}: ${stored.map(({ manifest }) => manifest.version).join(', ') || 'nothing was stored'}`,
    )
  },
}
