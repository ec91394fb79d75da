import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installFromCatalog } from '../../packages/install.ts'
import { readLock, writeLock } from '../../packages/lock.ts'
import type { StoredPackage } from '../../packages/store.ts'
import { type CliCommand, CommandError, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print } from '../output.ts'
import { packageContext } from '../package-context.ts'

/** Shows what a newer version changes, and locks it when that was asked for. */
export const pluginUpdate: CliCommand = {
  arguments: '<name>',
  options: [['--yes', 'lock the newer version; without it, only the difference is shown']],
  examples: ['plugin update acme-auth', 'plugin update acme-auth@^2 --yes'],
  async run(input) {
    const [wanted = ''] = input.args
    const context = packageContext(input)
    const name = wanted.replace(/@.*$/, '').replace(/^.*\//, '')
    const lock = await readLock(context.lockFile)
    const locked = lock.plugins[name]
    if (locked === undefined) throw new CommandError(exitCodes.notFound, `"${name}" is not installed`)
    const catalog = wanted.includes('/') || locked.from === 'file' ? '' : `${locked.from}/`
    const before = (await context.store.list()).find(
      ({ manifest }) => manifest.name === name && manifest.version === locked.version,
    )
    const { stored } = await installFromCatalog(`${catalog}${wanted}`, context)
    if (!flag(input, 'yes')) await writeLock(context.lockFile, lock)
    if (stored.manifest.version === locked.version)
      return print(`"${name}" ${locked.version} is the newest that fits`)
    for (const line of await differences(before, stored)) print(line)
    print(
      flag(input, 'yes')
        ? `Locked ${stored.manifest.version}: "sftpgo-ts plugin enable ${name}@${stored.manifest.version}" switches to it`
        : `Take it with "sftpgo-ts plugin update ${wanted} --yes"`,
    )
  },
}

async function differences(before: StoredPackage | undefined, after: StoredPackage): Promise<string[]> {
  const lines = [
    `version      ${before?.manifest.version ?? '?'} -> ${after.manifest.version}`,
    `digest       ${before?.archiveSha256.slice(0, 12) ?? '?'} -> ${after.archiveSha256.slice(0, 12)}`,
  ]
  for (const kind of ['environment', 'network', 'files'] as const) {
    const old = new Set(before?.manifest.permissions[kind])
    const now = new Set(after.manifest.permissions[kind])
    const added = [...now].filter((one) => !old.has(one)).map((one) => `+${one}`)
    const gone = [...old].filter((one) => !now.has(one)).map((one) => `-${one}`)
    if (added.length + gone.length > 0) lines.push(`${kind.padEnd(13)}${[...added, ...gone].join(' ')}`)
  }
  return [...lines, ...(await settingDifferences(before, after))]
}

async function settingDifferences(
  before: StoredPackage | undefined,
  after: StoredPackage,
): Promise<string[]> {
  const [old, now] = await Promise.all([settingNames(before), settingNames(after)])
  const added = [...now].filter((name) => !old.has(name)).map((name) => `+${name}`)
  const gone = [...old].filter((name) => !now.has(name)).map((name) => `-${name}`)
  return added.length + gone.length === 0 ? [] : [`settings     ${[...added, ...gone].join(' ')}`]
}

async function settingNames(stored: StoredPackage | undefined): Promise<ReadonlySet<string>> {
  if (stored?.manifest.settings === undefined) return new Set()
  const schema: unknown = JSON.parse(await readFile(join(stored.folder, stored.manifest.settings), 'utf8'))
  const properties: unknown =
    typeof schema === 'object' && schema !== null && 'properties' in schema ? schema.properties : {}
  return new Set(Object.keys(typeof properties === 'object' && properties !== null ? properties : {}))
}
