import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readLock } from '../../packages/lock.ts'
import type { StoredPackage } from '../../packages/store.ts'
import { type CliCommand, CommandError, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson, printTable } from '../output.ts'
import { packageContext } from '../package-context.ts'
import { describePermissions } from './plugin-install.ts'

/** Says everything about an installed package without running it. */
export const pluginShow: CliCommand = {
  arguments: '<name>',
  options: [
    ['--settings', 'print its settings: schema, defaults, documentation'],
    ['--sbom', 'print the libraries that are inside it'],
    ['--json', 'print as JSON'],
  ],
  examples: [
    'plugin show acme-auth',
    'plugin show acme-auth@1.2.0 --settings',
    'plugin show acme-auth --sbom',
  ],
  async run(input) {
    const [name = '', wanted] = (input.args[0] ?? '').split('@', 2)
    const { store, lockFile } = packageContext(input)
    const locked = (await readLock(lockFile)).plugins[name]
    const versions = (await store.list()).filter(({ manifest }) => manifest.name === name)
    const version = wanted ?? locked?.version
    const found = versions.find(({ manifest }) => manifest.version === version)
    const stored = found ?? (wanted === undefined ? versions.at(-1) : undefined)
    if (stored === undefined)
      throw new CommandError(exitCodes.notFound, `"${input.args[0] ?? ''}" is not installed`)
    if (flag(input, 'sbom')) return showBill(stored)
    const schema = await schemaOf(stored)
    if (flag(input, 'json'))
      return printJson({
        ...stored,
        locked,
        versions: versions.map(({ manifest }) => manifest.version),
        schema,
      })
    if (flag(input, 'settings')) return showSettings(stored, schema)
    const { manifest } = stored
    print(`${manifest.name} ${manifest.version}: ${manifest.description || 'no description'}`)
    print(`  slot        ${manifest.slot}, protocol ${manifest.protocol}`)
    print(`  stored      ${versions.map((one) => one.manifest.version).join(', ')}`)
    print(`  locked      ${locked === undefined ? 'no' : `${locked.version} from ${locked.from}`}`)
    print(`  folder      ${stored.folder}`)
    print(`  sha256sum   ${stored.manifestSha256}`)
    describePermissions(manifest.permissions)
  },
}

async function showBill({ manifest, folder }: StoredPackage): Promise<void> {
  const text = await readFile(join(folder, 'sbom.cdx.json'), 'utf8').catch(() => undefined)
  if (text === undefined)
    throw new CommandError(exitCodes.notFound, `"${manifest.name}" has no bill of materials`)
  const components: unknown = property(JSON.parse(text), 'components')
  const rows = (Array.isArray(components) ? components : []).map((one: unknown) => [
    textAt(one, 'name', '?'),
    textAt(one, 'version', '?'),
  ])
  if (rows.length === 0) return print(`${manifest.name} names no libraries`)
  printTable([['library', 'version'], ...rows])
}

async function schemaOf({ manifest, folder }: StoredPackage): Promise<unknown> {
  if (manifest.settings === undefined) return undefined
  return JSON.parse(await readFile(join(folder, manifest.settings), 'utf8'))
}

function showSettings({ manifest }: StoredPackage, schema: unknown): void {
  const rows = rowsOf(schema, '')
  if (rows.length === 0) return print(`${manifest.name} has no settings`)
  printTable([['setting', 'type', 'default', 'meaning'], ...rows])
}

/** One row for each setting, those inside an object after it. */
function rowsOf(schema: unknown, before: string): readonly (readonly string[])[] {
  const properties = property(schema, 'properties')
  if (typeof properties !== 'object' || properties === null) return []
  const required: unknown = property(schema, 'required')
  return Object.entries(properties).flatMap(([key, one]) => [
    [
      `${before}${key}`,
      textAt(one, 'type', 'any'),
      defaultOf(one, Array.isArray(required) && required.includes(key)),
      textAt(one, 'description', ''),
    ],
    ...rowsOf(one, `${before}${key}.`),
  ])
}

function defaultOf(schema: unknown, required: boolean): string {
  if (property(schema, 'x-secret') === true || property(schema, 'writeOnly') === true)
    return required ? 'required, a secret' : 'a secret'
  const value = property(schema, 'default')
  if (value !== undefined) return JSON.stringify(value)
  return required ? 'required' : '-'
}

function textAt(value: unknown, key: string, otherwise: string): string {
  const text = property(value, key)
  return typeof text === 'string' ? text : otherwise
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && key in value
    ? Object.getOwnPropertyDescriptor(value, key)?.value
    : undefined
}
