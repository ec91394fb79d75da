import { placeInJson } from '../base/json-place.ts'
import { parseFolder, parseGroup, parseUser, type Parsed } from './parse-user.ts'
import { holdsSomething } from './record-reader.ts'
import { parseNetwork } from './ip-set.ts'
import type { Folder, Group, User } from './user.ts'

/** What a dump of SFTPGo holds for us, record by record with what was found. */
export interface Dump {
  readonly users: readonly Parsed<User>[]
  readonly groups: readonly Parsed<Group>[]
  readonly folders: readonly Parsed<Folder>[]
  readonly addressRules: readonly AddressRule[]
  /** Whole sections that have no counterpart here: `admins (2)`. */
  readonly dropped: readonly string[]
  /** What makes the dump as a whole unusable, groups and folders included. */
  readonly problems: readonly string[]
  /** The line of the first problem, of the dump or of one of its users. */
  readonly line?: number
}

/** One entry of SFTPGo's IP lists. */
export interface AddressRule {
  readonly network: string
  readonly list: 'allow' | 'deny' | 'safe'
  readonly note: string
}

/** Reads the text of a dump (`{"users": [...], "groups": [...], "folders": [...], ...}`). Never throws. */
export function parseDump(text: string): Dump {
  const nothing = { users: [], groups: [], folders: [], addressRules: [], dropped: [] }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    const { line, column, mistake = 'not JSON' } = placeInJson(text)
    return { ...nothing, problems: [`column ${column}: ${mistake}`], line }
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return { ...nothing, problems: ['expected an object with a list "users"'] }
  const sections = json as Readonly<Record<string, unknown>> // an object, as just checked
  const list = (key: string): readonly unknown[] => {
    const value = sections[key]
    return Array.isArray(value) ? value : []
  }
  const users = list('users').map((one, index) => placed(parseUser(one), 'users', index, one))
  const groups = list('groups').map((one, index) => placed(parseGroup(one), 'groups', index, one))
  const folders = list('folders').map((one, index) => placed(parseFolder(one), 'folders', index, one))
  const rules = list('ip_lists').map(readRule)
  const at = [...groups, ...folders, ...users].find(({ problems }) => problems.length > 0)?.at
  return {
    users,
    groups,
    folders,
    addressRules: rules.flatMap((rule) => (typeof rule === 'string' ? [] : [rule])),
    dropped: [...droppedSections(sections), ...rules.filter((rule) => typeof rule === 'string')],
    problems: [
      ...['users', 'groups', 'folders'].flatMap((key) =>
        holdsSomething(sections[key]) && !Array.isArray(sections[key]) ? [`${key}: expected a list`] : [],
      ),
      ...[...groups, ...folders].flatMap(({ problems }) => problems),
      ...twice(users.map(({ value }) => value.username)),
    ],
    ...(at !== undefined && { line: placeInJson(text, at).line }),
  }
}

const known = new Set(['users', 'groups', 'folders', 'ip_lists', 'version', '$schema'])

function droppedSections(sections: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(sections).flatMap(([key, value]) => {
    if (known.has(key) || !holdsSomething(value)) return []
    return [Array.isArray(value) ? `${key} (${value.length})` : key]
  })
}

/** A record with the path of its first problem in the dump. */
interface Placed<T> extends Parsed<T> {
  readonly at: string
}

/** Findings of one record, beginning with where it stands and whose it is. */
function placed<T>(parsed: Parsed<T>, section: string, index: number, json: unknown): Placed<T> {
  const { username, name } = (json ?? {}) as { username?: unknown; name?: unknown } // looked at before use
  const label = [username, name].find((one) => typeof one === 'string')
  const where =
    label === undefined ? `${section}[${index}]` : `${section}[${index}] ("${label.slice(0, 60)}")`
  const field = parsed.problems[0]?.split(':')[0] ?? ''
  return {
    ...parsed,
    at: `${section}[${index}].${field}`,
    problems: parsed.problems.map((problem) => `${where}: ${problem}`),
  }
}

function twice(names: readonly string[]): string[] {
  const seen = new Set<string>()
  return names.flatMap((name) => {
    if (name === '' || !seen.has(name)) {
      seen.add(name)
      return []
    }
    return [`users: "${name}" is there twice`]
  })
}

/** SFTPGo's types: 1 allow list, 2 defender (mode 1 safe, 2 blocked), 3 rate limiter safe list. */
function readRule(json: unknown): AddressRule | string {
  const { ipornet, type, mode, protocols, description } = (json ?? {}) as Readonly<Record<string, unknown>> // looked at before use
  const network = typeof ipornet === 'string' ? ipornet : ''
  if (parseNetwork(network) === undefined)
    return `ip_lists: "${network.slice(0, 60)}" is not an address or network`
  // Bits: 1 SSH, 2 FTP, 4 WebDAV, 8 HTTP; 0 all. A rule for another protocol must neither let in nor keep out here.
  if (typeof protocols === 'number' && protocols !== 0 && (protocols & 1) === 0)
    return `ip_lists: "${network}" is not about SSH`
  const list = type === 1 ? 'allow' : type === 2 ? (mode === 2 ? 'deny' : 'safe') : 'safe'
  return { network, list, note: typeof description === 'string' ? description.slice(0, 512) : '' }
}
