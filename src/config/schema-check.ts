import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { ConfigErrorCode } from '../base/errors.ts'
import { nearestName } from './nearest-name.ts'
import type { SettingPath } from './problems.ts'
import { type SettingSchema, rootSchema, typesOf } from './setting-schema.ts'

/** A mistake that the schema finds; the caller adds its place. */
export interface SchemaProblem {
  readonly code: ConfigErrorCode
  readonly path: SettingPath
  readonly message: string
  readonly suggestion?: string
  /** Whether the key is wrong rather than its value. */
  readonly atKey: boolean
}

/** Holds `value` against the schema and fills defaults into it. Every mistake is returned, none is thrown. */
export function checkAgainstSchema(value: unknown): SchemaProblem[] {
  const validate = compiled()
  if (validate(value)) return []
  return (validate.errors ?? []).flatMap((error) => {
    const problem = problemOf(error)
    return problem === undefined ? [] : [problem]
  })
}

function compiled(): ValidateFunction {
  const ajv = new Ajv({
    allErrors: true,
    useDefaults: true,
    verbose: true,
    strict: true,
    strictRequired: false,
    allowUnionTypes: true,
    // A test holds our schema against the schema of schemas; every start would pay for that, and for code used once.
    meta: false,
    validateSchema: false,
    code: { optimize: false },
  })
  ajv.addVocabulary(['x-ours', 'x-path', 'x-restart', 'x-secret', 'x-unit'])
  return ajv.compile(rootSchema)
}

function problemOf(error: ErrorObject): SchemaProblem | undefined {
  const path = pathOf(error.instancePath)
  // With `verbose` ajv hands over the schema it failed at, which is one of ours.
  const schema = error.parentSchema as SettingSchema
  switch (error.keyword) {
    case 'additionalProperties':
      return unknownKey([...path, String(error.params['additionalProperty'])], schema)
    case 'required':
      return {
        code: 'missing-key',
        path: [...path, String(error.params['missingProperty'])],
        message: 'is missing',
        atKey: false,
      }
    case 'type':
      return {
        code: 'wrong-type',
        path,
        message: `must be ${expected(schema)}, not ${shown(error.data, schema)}`,
        atKey: false,
      }
    case 'enum':
      return {
        code: 'out-of-range',
        path,
        message: `must be ${expected(schema)}, not ${shown(error.data, schema)}`,
        ...suggestion(typeof error.data === 'string' ? error.data : '', wordsOf(schema)),
        atKey: false,
      }
    case 'minLength':
      return { code: 'out-of-range', path, message: 'must not be empty', atKey: false }
    case 'pattern':
    case 'minimum':
    case 'maximum':
      return {
        code: 'out-of-range',
        path,
        message: `must be ${expected(schema)}, not ${shown(error.data, schema)}`,
        atKey: false,
      }
    default:
      return { code: 'out-of-range', path, message: error.message ?? 'is not valid', atKey: false }
  }
}

function unknownKey(path: SettingPath, schema: SettingSchema): SchemaProblem {
  const key = String(path.at(-1))
  const message = 'is not a known key'
  return {
    code: 'unknown-key',
    path,
    message,
    ...suggestion(key, Object.keys(schema.properties ?? {})),
    atKey: true,
  }
}

function suggestion(name: string, candidates: readonly string[]): { suggestion?: string } {
  const nearest = nearestName(name, candidates)
  return nearest === undefined ? {} : { suggestion: nearest }
}

function wordsOf(schema: SettingSchema): string[] {
  return (schema.enum ?? []).filter((word) => typeof word === 'string')
}

/** What a setting must be, in words that follow "must be". */
export function expected(schema: SettingSchema): string {
  if (schema.enum !== undefined) return listed(schema.enum.map((word) => JSON.stringify(word)))
  if (schema['x-unit'] === 'duration')
    return 'a duration: a number of seconds, or text such as "250ms", "30s", "5m", "2h"'
  if (schema['x-unit'] === 'size') return 'a size: a number of bytes, or text such as "64MiB"'
  const types = typesOf(schema)
  if (types.includes('integer')) {
    const { minimum, maximum } = schema
    const range =
      maximum !== undefined
        ? ` from ${minimum ?? 0} to ${maximum}`
        : minimum !== undefined
          ? ` of at least ${minimum}`
          : ''
    return `a whole number${range}${types.includes('string') ? ' or "auto"' : ''}`
  }
  if (types.includes('boolean')) return 'true or false'
  if (types.includes('array')) return 'a list in square brackets'
  if (types.includes('object')) return 'a section in braces'
  if (schema.pattern !== undefined) return patterns[schema.pattern] ?? `text of the form ${schema.pattern}`
  return 'text in double quotes'
}

const patterns: Readonly<Record<string, string>> = {
  '^[0-9a-fA-F]{64}$': 'a SHA-256 of 64 hexadecimal digits',
  '^([0-7]{3,4})?$': 'an octal mask such as "0022", or empty',
  '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$': 'a name of at most 64 letters, digits, dots, dashes and underscores',
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`
}

/** A wrong value for people: short, and hidden where it may be a secret. */
function shown(value: unknown, schema: SettingSchema): string {
  if (schema['x-secret'] === true) return 'what it is'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'a section'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}..."` : text
}

function pathOf(pointer: string): SettingPath {
  if (pointer === '') return []
  return pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part))
}
