import { Ajv, type ErrorObject } from 'ajv'
import type { ConfigErrorCode } from '../base/errors.ts'
import { nearestName } from './nearest-name.ts'

/** Settings of a plugin, held against the schema that it ships. */
export interface CheckedPluginSettings {
  /** With the schema's defaults filled in; references to secrets still stand as references. */
  readonly settings: Readonly<Record<string, unknown>>
  /** Dotted paths of values that came from the schema's defaults. */
  readonly defaulted: readonly string[]
  readonly problems: readonly PluginSettingProblem[]
}

/** One mistake in a plugin's settings. */
export interface PluginSettingProblem {
  readonly code: ConfigErrorCode
  readonly path: readonly (string | number)[]
  readonly message: string
}

/** Where a secret in settings is found: never in the file itself. */
export type SecretReference =
  | { readonly env: string }
  | { readonly file: string }
  | { readonly secret: Readonly<Record<string, unknown>> }

/** Opens a reference. Throws with a sentence that names the reference, never the secret. */
export type OpenReference = (reference: SecretReference) => Promise<string>

/**
 * Checks `settings` against a plugin's schema without running it. A property marked `"x-secret": true` (or
 * `"writeOnly": true`) takes references alone: a literal in the file would be read by who reads the file. `literalSecrets` is for the
 * fixtures of a test, which hold made-up ones.
 */
export function checkPluginSettings(
  schema: unknown,
  settings: unknown,
  { literalSecrets = false }: { readonly literalSecrets?: boolean } = {},
): CheckedPluginSettings {
  const given = isObject(settings) ? settings : {}
  const before = paths(given)
  const value: Record<string, unknown> = structuredClone(given)
  const problems: PluginSettingProblem[] = []
  if (!isObject(schema))
    return {
      settings: given,
      defaulted: [],
      problems: [{ code: 'conflict', path: [], message: "the plugin's schema of settings is no object" }],
    }
  const secrets = new Set(secretPaths(schema, []))
  // A reference stands for a text that is not known yet: what the schema says of that text cannot be asked.
  const opaque = new Set<string>()
  const shape = mapValues(value, (item, key) => replaceReferences(item, [key], opaque))
  for (const path of secrets) {
    const literal = valueAt(value, path.split('.'))
    if (!literalSecrets && literal !== undefined && !opaque.has(path)) {
      problems.push({
        code: 'unsafe',
        path: path.split('.'),
        message: 'is a secret: give {"env": NAME}, {"file": PATH} or {"secret": ...}, not the secret itself',
      })
    }
  }
  problems.push(...schemaProblems(schema, shape, opaque))
  const filled = restoreReferences(shape, value)
  return { settings: filled, defaulted: paths(filled).filter((path) => !before.includes(path)), problems }
}

/** The settings as the plugin gets them: every reference opened. */
export async function openPluginSettings(
  settings: Readonly<Record<string, unknown>>,
  open: OpenReference,
): Promise<Record<string, unknown>> {
  // The settings themselves are never a reference, though an only setting may be called "file".
  const entries = Object.entries(settings).map(
    async ([key, item]) => [key, await openValue(item, open)] as const,
  )
  return Object.fromEntries(await Promise.all(entries))
}

async function openValue(value: unknown, open: OpenReference): Promise<unknown> {
  if (isReference(value)) return open(value)
  if (Array.isArray(value)) return Promise.all(value.map((item) => openValue(item, open)))
  if (!isObject(value)) return value
  const entries = await Promise.all(
    Object.entries(value).map(async ([key, item]) => [key, await openValue(item, open)] as const),
  )
  return Object.fromEntries(entries)
}

/** The texts that stand in `settings` where the schema says that a secret belongs. */
export function secretTexts(schema: unknown, settings: unknown): readonly string[] {
  if (!isObject(schema)) return []
  const values = secretPaths(schema, []).map((path) => valueAt(settings, path.split('.')))
  return values.filter((value) => typeof value === 'string')
}

/** Whether a value is a reference to a secret: one of the three keys, alone. */
export function isReference(value: unknown): value is SecretReference {
  if (!isObject(value)) return false
  const [key, ...others] = Object.keys(value)
  if (key === undefined || others.length > 0) return false
  if (key === 'env' || key === 'file') return typeof value[key] === 'string'
  return key === 'secret' && isObject(value[key])
}

function schemaProblems(
  schema: Readonly<Record<string, unknown>>,
  shape: unknown,
  opaque: ReadonlySet<string>,
): PluginSettingProblem[] {
  const ajv = new Ajv({ allErrors: true, useDefaults: true, strict: false, verbose: true })
  let validate
  try {
    const { $schema: _dialect, ...body } = schema
    validate = ajv.compile(body)
  } catch (error) {
    return [
      {
        code: 'conflict',
        path: [],
        message: `the plugin's schema of settings cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      },
    ]
  }
  if (validate(shape)) return []
  return (validate.errors ?? []).filter((error) => !opaque.has(pathOf(error).join('.'))).map(problemOf)
}

function problemOf(error: ErrorObject): PluginSettingProblem {
  const path = pathOf(error)
  if (error.keyword === 'required')
    return {
      code: 'missing-key',
      path: [...path, String(error.params['missingProperty'])],
      message: 'is missing',
    }
  if (error.keyword !== 'additionalProperties')
    return {
      code: error.keyword === 'type' ? 'wrong-type' : 'out-of-range',
      path,
      message: error.message ?? 'is wrong',
    }
  const key = String(error.params['additionalProperty'])
  const properties: unknown = error.parentSchema?.['properties']
  const near = nearestName(key, isObject(properties) ? Object.keys(properties) : [])
  return {
    code: 'unknown-key',
    path: [...path, key],
    message: `is no setting of this plugin${near === undefined ? '' : `; did you mean "${near}"?`}`,
  }
}

function pathOf({ instancePath }: ErrorObject): string[] {
  return instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** A copy with a text in the place of each reference; where they stood goes into `opaque`. */
function replaceReferences(value: unknown, path: readonly string[], opaque: Set<string>): unknown {
  if (isReference(value)) {
    opaque.add(path.join('.'))
    return ''
  }
  if (Array.isArray(value))
    return value.map((item, index) => replaceReferences(item, [...path, String(index)], opaque))
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, replaceReferences(item, [...path, key], opaque)]),
  )
}

/** Puts the references of `original` back into what validation filled up. */
function restoreReferences(filled: unknown, original: unknown): Record<string, unknown> {
  const from = isObject(original) ? original : {}
  return isObject(filled) ? mapValues(filled, (item, key) => restore(item, from[key])) : {}
}

function mapValues(
  object: Readonly<Record<string, unknown>>,
  map: (item: unknown, key: string) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, item]) => [key, map(item, key)]))
}

function restore(filled: unknown, original: unknown): unknown {
  if (isReference(original)) return original
  if (Array.isArray(filled))
    return filled.map((item, index) => restore(item, Array.isArray(original) ? original[index] : undefined))
  if (!isObject(filled)) return filled
  const from = isObject(original) ? original : {}
  return Object.fromEntries(Object.entries(filled).map(([key, item]) => [key, restore(item, from[key])]))
}

function secretPaths(schema: Readonly<Record<string, unknown>>, path: readonly string[]): string[] {
  if (schema['x-secret'] === true || schema['writeOnly'] === true) return [path.join('.')]
  const properties = schema['properties']
  if (!isObject(properties)) return []
  return Object.entries(properties).flatMap(([key, child]) =>
    isObject(child) ? secretPaths(child, [...path, key]) : [],
  )
}

function paths(value: unknown, path: readonly string[] = []): string[] {
  if (!isObject(value) || (path.length > 0 && isReference(value))) return [path.join('.')]
  return Object.entries(value).flatMap(([key, child]) => paths(child, [...path, key]))
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), value)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
