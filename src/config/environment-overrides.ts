import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { messageOf } from '../base/errors.ts'
import { nearestName } from './nearest-name.ts'
import type { Place, Problem, SettingPath } from './problems.ts'
import { type SettingSchema, rootSchema, typesOf } from './setting-schema.ts'
import { unsupportedVariable } from './unsupported-keys.ts'

/** Variables of the process, or of a file. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A setting that the environment gives. */
export interface Override {
  readonly path: SettingPath
  readonly value: unknown
  readonly place: Place
}

/** The environment with what `env.d/` adds: a variable that is set already is never replaced. */
export interface FullEnvironment {
  /** The folder of the configuration: relative paths in variables are relative to it, as those in the file are. */
  readonly folder: string
  readonly variables: Environment
  /** The file each added variable came from. */
  readonly files: ReadonlyMap<string, string>
  readonly problems: readonly Problem[]
}

const largestEnvFile = 1024 * 1024

/** Reads the files of `folder/env.d` (in order of name, at most 1 MiB each) beneath the given environment. */
export function readEnvironment(folder: string, environment: Environment): FullEnvironment {
  const variables: Record<string, string | undefined> = { ...environment }
  const files = new Map<string, string>()
  const problems: Problem[] = []
  for (const file of envFiles(join(folder, 'env.d'))) {
    try {
      if (statSync(file).size > largestEnvFile) throw new Error('it is larger than 1 MiB')
      for (const [name, value] of Object.entries(parseEnv(readFileSync(file, 'utf8')))) {
        if (variables[name] !== undefined) continue
        variables[name] = value
        files.set(name, file)
      }
    } catch (error) {
      const place: Place = { in: 'file', file, line: 1, column: 1 }
      problems.push({
        code: 'file-unreadable',
        path: [],
        place,
        message: `cannot be read: ${messageOf(error)}`,
      })
    }
  }
  return { folder, variables, files, problems }
}

function envFiles(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.'))
      .map((entry) => join(folder, entry.name))
      .sort()
  } catch {
    return []
  }
}

/** Settings in `SFTPGO_SECTION__KEY__0__KEY` variables, in the order of their paths; what cannot be one is a problem. */
export function overridesOf({
  variables,
  files,
  folder,
}: Pick<FullEnvironment, 'variables' | 'files' | 'folder'>): {
  overrides: Override[]
  problems: Problem[]
} {
  const overrides: Override[] = []
  const problems: Problem[] = []
  for (const [variable, text] of Object.entries(variables)) {
    if (text === undefined || !isSettingVariable(variable)) continue
    const file = files.get(variable)
    const place: Place =
      file === undefined ? { in: 'variable', variable } : { in: 'variable', variable, file }
    const parts = variable.slice('SFTPGO_'.length).split('__')
    const found = resolveSetting(parts, text, folder)
    if ('problem' in found) problems.push({ ...found.problem, place })
    else if (found.value !== undefined) overrides.push({ path: found.path, value: found.value, place })
  }
  overrides.sort((a, b) => comparePaths(a.path, b.path))
  return { overrides, problems }
}

/** Whether a variable means one of our settings: it has `__`, or names a setting at the top. */
function isSettingVariable(variable: string): boolean {
  if (!variable.startsWith('SFTPGO_')) return false
  const [first = '', ...rest] = variable.slice('SFTPGO_'.length).toLowerCase().split('__')
  // A plugin's own variables (SFTPGO_PLUGIN_AUTH_...) may hold "__" too.
  if (first.startsWith('plugin_')) return first === 'plugin_host' && rest.length > 0
  if (rest.length > 0) return true
  const schema = rootSchema.properties?.[first]
  return schema !== undefined && !typesOf(schema).includes('object')
}

type Found =
  { readonly path: SettingPath; readonly value: unknown } | { readonly problem: Omit<Problem, 'place'> }

function resolveSetting(parts: readonly string[], text: string, folder: string): Found {
  const direct = descend(parts)
  if ('schema' in direct) return coerced(direct.path, direct.schema, text)
  const last = parts.at(-1) ?? ''
  if (last.endsWith('_FILE')) {
    const secret = descend([...parts.slice(0, -1), last.slice(0, -'_FILE'.length)])
    if ('schema' in secret && secret.schema['x-secret'] === true)
      return fromFile(secret.path, secret.schema, resolve(folder, text))
  }
  const path = parts.map((part) => (/^\d{1,6}$/.test(part) ? Number(part) : part.toLowerCase()))
  const unsupported = unsupportedVariable(path, text)
  if (unsupported === undefined) return { problem: direct.problem }
  return unsupported.problem === undefined ? { path, value: undefined } : { problem: unsupported.problem }
}

function descend(
  parts: readonly string[],
):
  | { readonly path: SettingPath; readonly schema: SettingSchema }
  | { readonly problem: Omit<Problem, 'place'> } {
  let schema = rootSchema
  const path: (string | number)[] = []
  for (const part of parts) {
    const isIndex = /^\d{1,6}$/.test(part) && schema.items !== undefined
    const key = isIndex ? Number(part) : part.toLowerCase()
    const known = schema.properties ?? {}
    const next = isIndex ? schema.items : Object.hasOwn(known, key) ? known[key] : undefined
    path.push(key)
    if (next === undefined) {
      const nearest = nearestName(String(key), Object.keys(known))
      const message =
        schema.items === undefined ? 'is not a known key' : 'must be a number: an element of a list is meant'
      return {
        problem: {
          code: 'unknown-key',
          path,
          message,
          ...(nearest === undefined ? {} : { suggestion: nearest }),
        },
      }
    }
    schema = next
  }
  return { path, schema }
}

function fromFile(path: SettingPath, schema: SettingSchema, file: string): Found {
  try {
    return coerced(path, schema, readFileSync(file, 'utf8').replace(/\r?\n$/, ''))
  } catch (error) {
    return {
      problem: {
        code: 'file-unreadable',
        path,
        message: `cannot be read from "${file}": ${messageOf(error)}`,
      },
    }
  }
}

/** The text as the type the setting has. What does not fit stays text, so that the schema says what was expected. */
function coerced(path: SettingPath, schema: SettingSchema, text: string): Found {
  const types = typesOf(schema)
  if (types.includes('array')) return { path, value: listOf(schema, text) }
  // As in SFTPGo: an empty variable empties a list and says nothing elsewhere.
  if (text === '') return { path, value: undefined }
  if (types.includes('boolean') && /^(true|false|1|0)$/i.test(text))
    return { path, value: /^(true|1)$/i.test(text) }
  const isNumber = types.includes('integer') || types.includes('number')
  if (isNumber && /^-?\d+(\.\d+)?$/.test(text)) return { path, value: Number(text) }
  if (types.includes('object')) return { path, value: jsonOr(text) }
  return { path, value: text }
}

function listOf(schema: SettingSchema, text: string): unknown {
  if (text.trim() === '') return []
  if (text.trimStart().startsWith('[')) return jsonOr(text)
  const numeric = typesOf(schema.items ?? {}).includes('integer')
  return text.split(',').map((word) => {
    const trimmed = word.trim()
    return numeric && /^-?\d+$/.test(trimmed) ? Number(trimmed) : trimmed
  })
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function comparePaths(a: SettingPath, b: SettingPath): number {
  for (const [index, part] of a.entries()) {
    const other = b[index]
    if (other === undefined) return 1
    if (part === other) continue
    if (typeof part === 'number' && typeof other === 'number') return part - other
    return String(part) < String(other) ? -1 : 1
  }
  return a.length - b.length
}
