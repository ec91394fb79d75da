import semver from 'semver'
import { PackageError } from '../base/errors.ts'
import { slots, type SlotName } from '../slots/index.ts'
import { checkPackageName } from './archive-name.ts'
import { isInRange } from './version-range.ts'

/** What a package says of itself in its plugin.json, as far as it is handed around. The host reads `entry` and `files`. */
export interface PackageManifest {
  readonly name: string
  readonly version: string
  readonly slot: SlotName
  /** The slot's protocol version: a whole number, 1 for all of SFTPGo's. */
  readonly protocol: number
  readonly description: string
  /** Which versions of this server it was made for, an npm range; absent: any. */
  readonly engine?: string
  /** Path of its JSON Schema of settings inside the package; absent: it has none. */
  readonly settings?: string
  /** The program that runs it, by absolute path: not part of the package, so whoever installs it approves its digest. */
  readonly interpreter?: string
  readonly permissions: Permissions
}

/** What a package asks for; shown before it is installed, and again when an update asks for more. */
export interface Permissions {
  /** Names of environment variables it wants to see. */
  readonly environment: readonly string[]
  /** Hosts, in words for people. */
  readonly network: readonly string[]
  /** Paths, in words for people. */
  readonly files: readonly string[]
}

/** Reads a plugin.json of untrusted bytes. Throws `manifest-invalid` with the key that is wrong. */
export function parsePackageManifest(text: string): PackageManifest {
  const value = parseObject(text)
  const version = stringAt(value, 'version')
  if (semver.valid(version) !== version) throw invalid('"version" is no semantic version such as "1.2.0"')
  const protocol = value['protocol'] ?? 1
  if (typeof protocol !== 'number' || !Number.isInteger(protocol) || protocol < 1)
    throw invalid('"protocol" is no whole number')
  const engine = engineOf(value['engines'])
  const settings = value['settings'] === undefined ? undefined : stringAt(value, 'settings')
  const interpreter = value['interpreter'] === undefined ? undefined : stringAt(value, 'interpreter')
  return {
    ...{
      name: nameIn(value),
      version,
      slot: slotIn(value),
      protocol,
      permissions: permissionsIn(value['permissions']),
    },
    description: value['description'] === undefined ? '' : stringAt(value, 'description'),
    ...(engine === undefined ? {} : { engine }),
    ...(settings === undefined ? {} : { settings }),
    ...(interpreter === undefined ? {} : { interpreter }),
  }
}

/** Throws `incompatible` unless a package made for `engine` and `protocol` runs in this server. */
export function checkCompatible({ name, version, engine, protocol }: PackageManifest, server: string): void {
  const label = `"${name}" ${version}`
  if (protocol !== 1)
    throw new PackageError(
      'incompatible',
      `${label} speaks version ${protocol} of its slot, this server speaks 1`,
    )
  if (engine === undefined || isInRange(server, engine)) return
  throw new PackageError(
    'incompatible',
    `${label} is made for server versions "${engine}", this is ${server}`,
  )
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch (cause) {
    throw new PackageError('manifest-invalid', 'Cannot read the plugin.json: it is not JSON', { cause })
  }
  throw invalid('it is not an object')
}

// The keys of the table are the names.
const slotNames = Object.keys(slots) as SlotName[]

function nameIn(value: Readonly<Record<string, unknown>>): string {
  return checkPackageName(stringAt(value, 'name'))
}

function slotIn(value: Readonly<Record<string, unknown>>): SlotName {
  const slot = stringAt(value, 'slot')
  const known = slotNames.find((name) => name === slot)
  if (known === undefined)
    throw new PackageError('wrong-slot', `There is no slot "${slot}": there are ${slotNames.join(', ')}`)
  return known
}

function engineOf(engines: unknown): string | undefined {
  if (engines === undefined) return undefined
  const range = isObject(engines) ? engines['sftpgo-ts'] : undefined
  if (range === undefined) return undefined
  if (typeof range === 'string' && semver.validRange(range) !== null) return range
  throw invalid('"engines"."sftpgo-ts" is no range such as ">=1.2.0"')
}

function permissionsIn(value: unknown): Permissions {
  if (value === undefined) return { environment: [], network: [], files: [] }
  if (!isObject(value)) throw invalid('"permissions" is not an object')
  return {
    environment: listAt(value, 'environment'),
    network: listAt(value, 'network'),
    files: listAt(value, 'files'),
  }
}

function listAt(value: Readonly<Record<string, unknown>>, key: string): readonly string[] {
  const list = value[key] ?? []
  const strings = Array.isArray(list)
    ? list.filter((item): item is string => typeof item === 'string' && item.length <= 500)
    : []
  if (!Array.isArray(list) || strings.length !== list.length || list.length > 100)
    throw invalid(`"permissions"."${key}" is no list of texts`)
  return strings
}

function stringAt(value: Readonly<Record<string, unknown>>, key: string): string {
  const text = value[key]
  if (typeof text === 'string' && text !== '' && text.length <= 2000) return text
  throw invalid(`"${key}" is missing or no text`)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(reason: string): PackageError {
  return new PackageError('manifest-invalid', `Cannot take the plugin.json: ${reason}`)
}
