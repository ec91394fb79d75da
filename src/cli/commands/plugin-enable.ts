import { PackageError } from '../../base/errors.ts'
import { addPluginEntry, setPluginKey, writtenEntries } from '../../config/edit-plugins.ts'
import { checkPluginSettings } from '../../config/plugin-settings.ts'
import { lockStored } from '../../packages/install.ts'
import { readLock } from '../../packages/lock.ts'
import { revokedInLock, saidOf } from '../../packages/revocations.ts'
import type { StoredPackage } from '../../packages/store.ts'
import { shippedSchema } from '../../server/plugin-settings.ts'
import { changePlugins } from '../change-plugins.ts'
import { type CliCommand, CommandError, textOption } from '../command.ts'
import { refreshEditorSchema } from '../editor-schema.ts'
import { printDone } from '../done.ts'
import { exitCodes } from '../exit-codes.ts'
import { packageContext, type PackageContext } from '../package-context.ts'
import { entryOf, installOne } from './plugin-install.ts'

/** Adds the entry of an installed package, or switches it on again, checks its settings and has the running server start it. */
export const pluginEnable: CliCommand = {
  arguments: '<name>',
  options: [
    ['--as <entry>', 'name of the configuration entry; by default the name of the package'],
    ['--settings <json>', "the plugin's settings, as JSON"],
    ['--json', 'print as JSON'],
  ],
  examples: [
    'plugin enable acme-auth',
    'plugin enable acme-auth@1.3.0',
    `plugin enable acme-auth --settings '{"url":"https://example.com"}'`,
  ],
  async run(input) {
    const [wanted = ''] = input.args
    const context = packageContext(input)
    const [name = '', version] = wanted.split('@', 2)
    const entry = textOption(input, 'as') ?? name
    const settings = parsedSettings(textOption(input, 'settings'))
    const outcome = await changePlugins(context, {
      package: name,
      entries: () => [entry],
      async change(before) {
        if (version !== undefined) await switchTo(name, version, context)
        const stored = await storedPackage(name, context)
        const text = withEntry(input.configFile, before, { stored, as: entry, settings, version })
        await checkSettings(stored, text, input.configFile, entry)
        return text
      },
    })
    const ready = outcome === 'ready'
    printDone(input, `"${entry}" is enabled${ready ? ' and ready' : '; it starts with the server'}`, {
      ...{ name: entry, package: name, ready },
    })
    await refreshEditorSchema(context)
  },
}

/** Locks another version of the same package: one that is stored here, else from where it came. */
async function switchTo(name: string, version: string, context: PackageContext): Promise<void> {
  const stored = (await context.store.list()).find(
    ({ manifest }) => manifest.name === name && manifest.version === version,
  )
  if (stored !== undefined) {
    await lockStored(stored, context)
    const revoked = revokedInLock(await readLock(context.lockFile), await context.catalogs.known())
    const found = revoked.find((one) => one.name === name)
    if (found !== undefined) throw new PackageError('revoked', saidOf(found))
    return
  }
  const from = (await readLock(context.lockFile)).plugins[name]?.from ?? 'file'
  await installOne(`${from === 'file' ? '' : `${from}/`}${name}@${version}`, context)
}

async function storedPackage(name: string, context: PackageContext): Promise<StoredPackage> {
  const locked = (await readLock(context.lockFile)).plugins[name]
  const stored =
    locked === undefined
      ? undefined
      : (await context.store.list()).find(
          ({ manifest }) => manifest.name === name && manifest.version === locked.version,
        )
  if (stored !== undefined) return stored
  throw new CommandError(
    exitCodes.notFound,
    `"${name}" is not installed: run "sftpgo-ts plugin install ${name}" first`,
  )
}

interface WantedEntry {
  readonly stored: StoredPackage
  readonly as: string
  readonly settings: Readonly<Record<string, unknown>> | undefined
  readonly version: string | undefined
}

function withEntry(file: string, text: string, { stored, as, settings, version }: WantedEntry): string {
  const index = writtenEntries(file, text).findIndex((entry) => entry['name'] === as)
  if (index < 0) {
    const entry = { ...entryOf(stored.manifest), name: as, ...(settings === undefined ? {} : { settings }) }
    return addPluginEntry(file, text, entry)
  }
  let next = setPluginKey(file, text, index, 'enabled', undefined)
  if (version !== undefined) next = setPluginKey(file, next, index, 'version', version)
  return settings === undefined ? next : setPluginKey(file, next, index, 'settings', settings)
}

async function checkSettings(
  stored: StoredPackage,
  text: string,
  file: string,
  entry: string,
): Promise<void> {
  const schema = await shippedSchema(stored.folder)
  if (schema === undefined) return
  const written = writtenEntries(file, text).find(({ name }) => name === entry)
  const { problems } = checkPluginSettings(schema, written?.['settings'])
  if (problems.length === 0) return
  const lines = problems.map(({ path, message }) => `  settings.${path.join('.')} ${message}`)
  throw new CommandError(
    exitCodes.invalid,
    [`"${stored.manifest.name}" was not enabled:`, ...lines, 'Give them with --settings'].join('\n'),
  )
}

function parsedSettings(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Said below.
  }
  throw new CommandError(exitCodes.usage, '--settings takes a JSON object')
}
