import { loadConfig } from '../../config/load-config.ts'
import { PackageError } from '../../base/errors.ts'
import { forget } from '../../packages/install.ts'
import { readLock } from '../../packages/lock.ts'
import type { CliCommand } from '../command.ts'
import { refreshEditorSchema } from '../editor-schema.ts'
import { printDone } from '../done.ts'
import { packageContext } from '../package-context.ts'

/** Takes a package out of the lock and every version of it, or the one that is named, out of the store. */
export const pluginRemove: CliCommand = {
  arguments: '<name>',
  options: [['--json', 'print as JSON']],
  examples: ['plugin remove acme-auth', 'plugin remove acme-auth@1.2.0'],
  async run(input) {
    const [wanted = ''] = input.args
    const [name = '', version] = wanted.split('@', 2)
    const context = packageContext(input)
    const locked = (await readLock(context.lockFile)).plugins[name]
    const stored = (await context.store.list()).filter(
      ({ manifest }) => manifest.name === name && (version === undefined || manifest.version === version),
    )
    if (stored.length === 0 && (version !== undefined || locked === undefined))
      throw new PackageError('not-found', `"${wanted}" is not installed`)
    if (version === undefined || locked?.version === version) {
      requireUnused(name, input.configFile)
      if (locked !== undefined) await forget(name, context)
    }
    for (const one of stored) await context.store.remove(one.archiveSha256)
    const versions = stored.map(({ manifest }) => manifest.version)
    printDone(input, `Removed ${name}: ${versions.join(', ') || 'nothing was stored'}`, { name, versions })
    await refreshEditorSchema(context)
  },
}

function requireUnused(name: string, configFile: string): void {
  const user = loadConfig(configFile).config?.settings.plugins.find(
    ({ source }) => source === name || source?.endsWith(`/${name}`) === true,
  )
  if (user?.enabled !== true) return
  const entry = user.name ?? user.type
  throw new PackageError(
    'in-use',
    `The entry "${entry}" uses "${name}": run "sftpgo-ts plugin disable ${entry}" first`,
  )
}
