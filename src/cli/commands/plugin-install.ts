import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { messageOf } from '../../base/errors.ts'
import { installArchive, installFromCatalog, installLocked, type Installed } from '../../packages/install.ts'
import { readLock } from '../../packages/lock.ts'
import { whyUnfit } from '../../packages/locked-entry.ts'
import type { Permissions } from '../../packages/package-manifest.ts'
import { type CliCommand, flag } from '../command.ts'
import { refreshEditorSchema } from '../editor-schema.ts'
import { print, printJson } from '../output.ts'
import { packageContext, type PackageContext } from '../package-context.ts'
import { readConfig } from '../read-config.ts'

/** Verifies a package, stores and locks it, and says what to do next. Without a name: everything the configuration declares. */
export const pluginInstall: CliCommand = {
  arguments: '[what]',
  options: [['--json', 'print as JSON']],
  examples: [
    'plugin install acme-auth-1.2.0-any.tgz',
    'plugin install acme-auth@^1.2',
    'plugin install corp/acme-auth',
    'plugin install',
  ],
  async run(input) {
    const context = packageContext(input)
    const [what] = input.args
    const json = flag(input, 'json')
    const installed = what === undefined ? await installDeclared(context) : [await installOne(what, context)]
    if (json) printJson(installed.map(asJson))
    await refreshEditorSchema(context, { quiet: json })
    if (json) return
    if (installed.length === 0)
      print('The configuration declares no package (an entry with "source"): there is nothing to install')
    for (const one of installed) describe(one)
  },
}

/** Installs an archive when `what` names a file, else from the catalogs. */
export function installOne(what: string, context: PackageContext): Promise<Installed> {
  // A folder of that name is where somebody writes the plugin; its package may be in a catalog all the same.
  const isFile =
    /\.(tgz|zip|tar|gz|xz)$/.test(what) ||
    /^[./]|:\/\//.test(what) ||
    statSync(what, { throwIfNoEntry: false })?.isFile() === true
  return isFile ? installArchive(what, context) : installFromCatalog(what, context)
}

/**
 * Everything that the configuration declares. What the lock says already is fetched as it is locked, so that every machine
 * runs the same; only what is not locked, or locked outside of its range, is looked for anew. One failure does not keep
 * the others from being installed.
 */
async function installDeclared(context: PackageContext): Promise<Installed[]> {
  const { settings } = readConfig(context.configFile)
  const { plugins: locked } = await readLock(context.lockFile)
  const installed: Installed[] = []
  const failures: unknown[] = []
  for (const { source, version, enabled } of settings.plugins) {
    if (source === undefined || !enabled) continue
    const name = source.slice(source.lastIndexOf('/') + 1)
    const wanted = version === undefined ? source : `${source}@${version}`
    const one = locked[name]
    const fits = one !== undefined && whyUnfit(one, { source, version }) === undefined
    try {
      installed.push(await (fits ? installLocked(name, context) : installFromCatalog(wanted, context)))
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length === 0) return installed
  for (const one of installed) describe(one)
  for (const failure of failures.slice(1)) process.stderr.write(`${messageOf(failure)}\n`)
  throw failures[0]
}

function asJson({ stored, locked, before }: Installed): object {
  const { manifest, folder, archiveSha256, manifestSha256 } = stored
  return {
    ...manifest,
    folder,
    archiveSha256,
    manifestSha256,
    from: locked.from,
    signer: locked.signer,
    before: before?.version,
    entry: entryOf(stored.manifest),
  }
}

function describe({ stored, locked, before }: Installed): void {
  const { name, version, slot, permissions } = stored.manifest
  const was = before === undefined || before.version === version ? '' : ` (was ${before.version})`
  print(
    `Installed ${name} ${version}${was} for the slot ${slot}, from ${locked.from === 'file' ? 'a file' : `the catalog ${locked.from}`}`,
  )
  print(`  archive  sha256 ${stored.archiveSha256}`)
  if (locked.signer !== undefined) print(`  signed   ${locked.signer}`)
  describePermissions(permissions)
  print(`Start it with "sftpgo-ts plugin enable ${name}", or paste this into "plugins":`)
  print(JSON.stringify(entryOf(stored.manifest), undefined, 2))
}

/** Prints what a package asks for. */
export function describePermissions({ environment, network, files }: Permissions): void {
  const wishes = { environment, network, files }
  for (const [kind, list] of Object.entries(wishes))
    print(`  ${kind.padEnd(12)}${list.length === 0 ? 'nothing' : list.join(', ')}`)
}

/** The configuration entry of a package. */
export function entryOf({
  name,
  version,
  slot,
  interpreter,
  permissions,
}: Installed['stored']['manifest']): Record<string, unknown> {
  return {
    ...{ name, type: slot, source: name, version: `^${version}` },
    ...(interpreter === undefined ? {} : interpreterDigest(interpreter)),
    ...(permissions.environment.length === 0 ? {} : { env_vars: [...permissions.environment] }),
    ...slotDefaults(name)[slot],
  }
}

/** What SFTPGo's configuration asks of each slot before an entry means anything. */
function slotDefaults(
  name: string,
): Readonly<Partial<Record<Installed['stored']['manifest']['slot'], Record<string, unknown>>>> {
  return {
    auth: { auth_options: { scope: 1 } },
    notifier: { notifier_options: { fs_events: ['upload'] } },
    kms: { kms_options: { scheme: name, encrypted_status: name } },
  }
}

/** The interpreter of this machine, trusted on first use: the digest goes into the configuration, where it can be read. */
function interpreterDigest(path: string): Record<string, unknown> {
  if (!existsSync(path)) return {}
  return { interpreter_sha256: createHash('sha256').update(readFileSync(path)).digest('hex') }
}
