import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadConfig } from '../../config/load-config.ts'
import { setPluginKey, writtenEntries, type WrittenEntry } from '../../config/edit-plugins.ts'
import { fetchFromCatalog, lockFetched, type Fetched } from '../../packages/install.ts'
import { readLock, type LockedPlugin } from '../../packages/lock.ts'
import type { StoredPackage } from '../../packages/store.ts'
import { isInRange, isNewer } from '../../packages/version-range.ts'
import { changePlugins } from '../change-plugins.ts'
import { type CliCommand, CommandError, flag } from '../command.ts'
import { refreshEditorSchema } from '../editor-schema.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'
import { packageContext, type PackageContext } from '../package-context.ts'

/** Shows what a newer version changes, and takes it when that was asked for. */
export const pluginUpdate: CliCommand = {
  arguments: '<name>',
  options: [
    ['--yes', 'take the newer version; without it, only the difference is shown'],
    ['--json', 'print as JSON'],
  ],
  examples: ['plugin update acme-auth', 'plugin update acme-auth --yes', 'plugin update acme-auth@^2 --yes'],
  async run(input) {
    const [wanted = ''] = input.args
    const context = packageContext(input)
    const [path = '', range] = wanted.split('@', 2)
    const name = path.slice(path.lastIndexOf('/') + 1)
    const locked = (await readLock(context.lockFile)).plugins[name]
    if (locked === undefined) throw new CommandError(exitCodes.notFound, `"${name}" is not installed`)
    const declared = declaredRange(name, context)
    const bound = path.includes('/') || locked.from === 'file' ? path : `${locked.from}/${path}`
    const fetched = await fetchFromCatalog(`${bound}@${range ?? declared ?? '*'}`, context)
    const { stored, newest } = fetched
    const outside =
      range === undefined && newest !== undefined && isNewer(newest, stored.manifest.version)
        ? `${newest} is outside of the declared "${declared}": "sftpgo-ts plugin update ${path}@^${newest}" shows it`
        : undefined
    const { version } = stored.manifest
    const newer = version !== locked.version
    const changes = newer ? await differences(await storedNow(name, locked, context), stored) : []
    // What would be taken is said before it is tried.
    if (!flag(input, 'json')) for (const change of changes) print(lineOf(change))
    const taken = newer && flag(input, 'yes') ? await take(name, fetched, context) : undefined
    if (flag(input, 'json'))
      return printJson({ name, locked: locked.version, version, changes, taken: taken ?? null, newest })
    if (!newer) print(`"${name}" ${locked.version} is the newest that fits`)
    else if (taken === undefined) print(`Take it with "sftpgo-ts plugin update ${wanted} --yes"`)
    else
      print(
        `Locked ${version}${taken === 'ready' ? ', and the running server has taken it' : '; it starts with the server'}`,
      )
    if (outside !== undefined) print(outside)
  },
}

/** The range that the configuration declares for a package, if an entry names it. */
function declaredRange(name: string, { configFile }: PackageContext): string | undefined {
  const entries = loadConfig(configFile).config?.settings.plugins ?? []
  return entries.find((entry) => runsPackage(entry, name))?.version
}

function runsPackage({ source }: { readonly source?: unknown }, name: string): boolean {
  return typeof source === 'string' && (source === name || source.endsWith(`/${name}`))
}

async function storedNow(
  name: string,
  { version }: LockedPlugin,
  { store }: PackageContext,
): Promise<StoredPackage | undefined> {
  const all = await store.list()
  return all.find(({ manifest }) => manifest.name === name && manifest.version === version)
}

/** Locks it, and has the running server switch every enabled entry over; what does not become ready changes nothing. */
async function take(name: string, fetched: Fetched, context: PackageContext): Promise<'ready' | 'no server'> {
  const { version } = fetched.stored.manifest
  const outcome = await changePlugins(context, {
    ...{ package: name },
    entries: (text) =>
      enabledEntries(context.configFile, text, name).map(({ entry }) =>
        typeof entry['name'] === 'string' ? entry['name'] : name,
      ),
    async change(before) {
      await lockFetched(fetched, context)
      let text = before
      for (const { entry, index } of enabledEntries(context.configFile, before, name)) {
        const range = entry['version']
        // Somebody who asked for a version outside of the declared range wants it from now on.
        if (typeof range === 'string' && !isInRange(version, range))
          text = setPluginKey(context.configFile, text, index, 'version', `^${version}`)
      }
      return text
    },
  })
  await refreshEditorSchema(context)
  return outcome
}

function enabledEntries(
  file: string,
  text: string,
  name: string,
): readonly { readonly entry: WrittenEntry; readonly index: number }[] {
  return writtenEntries(file, text)
    .map((entry, index) => ({ entry, index }))
    .filter(({ entry }) => runsPackage(entry, name) && entry['enabled'] !== false)
}

/** What differs between two versions: a value that was replaced, or names that came and went. */
type Change =
  | { readonly what: 'version' | 'digest'; readonly from: string; readonly to: string }
  | {
      readonly what: 'environment' | 'network' | 'files' | 'settings'
      readonly added: readonly string[]
      readonly removed: readonly string[]
    }

async function differences(before: StoredPackage | undefined, after: StoredPackage): Promise<Change[]> {
  const changes: Change[] = [
    { what: 'version', from: before?.manifest.version ?? '?', to: after.manifest.version },
    { what: 'digest', from: before?.archiveSha256 ?? '?', to: after.archiveSha256 },
  ]
  for (const what of ['environment', 'network', 'files'] as const) {
    const was = new Set(before?.manifest.permissions[what])
    changes.push(...cameAndWent(what, was, new Set(after.manifest.permissions[what])))
  }
  const [was, is] = await Promise.all([settingNames(before), settingNames(after)])
  return [...changes, ...cameAndWent('settings', was, is)]
}

function cameAndWent(
  what: 'environment' | 'network' | 'files' | 'settings',
  was: ReadonlySet<string>,
  is: ReadonlySet<string>,
): Change[] {
  const added = [...is].filter((name) => !was.has(name))
  const removed = [...was].filter((name) => !is.has(name))
  return added.length + removed.length === 0 ? [] : [{ what, added, removed }]
}

function lineOf(change: Change): string {
  const title = change.what.padEnd(13)
  if ('from' in change) {
    const short = (value: string): string => (change.what === 'digest' ? value.slice(0, 12) : value)
    return `${title}${short(change.from)} -> ${short(change.to)}`
  }
  const added = change.added.map((one) => `+${one}`)
  return `${title}${[...added, ...change.removed.map((one) => `-${one}`)].join(' ')}`
}

async function settingNames(stored: StoredPackage | undefined): Promise<ReadonlySet<string>> {
  if (stored?.manifest.settings === undefined) return new Set()
  const schema: unknown = JSON.parse(await readFile(join(stored.folder, stored.manifest.settings), 'utf8'))
  const properties: unknown =
    typeof schema === 'object' && schema !== null && 'properties' in schema ? schema.properties : {}
  return new Set(Object.keys(typeof properties === 'object' && properties !== null ? properties : {}))
}
