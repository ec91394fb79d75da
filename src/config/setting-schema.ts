import { serverSchema } from '../gen/server-schema.ts'
import type { SettingPath } from './problems.ts'

/** The part of JSON Schema that our setting schemas use. */
export interface SettingSchema {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly pattern?: string
  readonly properties?: Readonly<Record<string, SettingSchema>>
  readonly required?: readonly string[]
  readonly items?: SettingSchema
  readonly additionalProperties?: boolean
  readonly 'x-unit'?: 'duration' | 'size'
  readonly 'x-secret'?: boolean
  readonly 'x-path'?: boolean
  /** Taken over at a restart only; every other setting by a reload. */
  readonly 'x-restart'?: boolean
}

/** The schema of the whole configuration. */
// The generated constant has this shape; the compiler cannot see it through `as const` tuples.
export const rootSchema = serverSchema as unknown as SettingSchema

/** The schema of the setting at `path`, or undefined where the schema knows none. */
export function schemaAt(path: SettingPath): SettingSchema | undefined {
  let schema: SettingSchema | undefined = rootSchema
  for (const part of path) {
    schema = typeof part === 'number' ? schema?.items : ownProperty(schema?.properties, part)
  }
  return schema
}

/** The types a setting may have. */
export function typesOf(schema: SettingSchema): readonly string[] {
  return schema.type === undefined ? [] : typeof schema.type === 'string' ? [schema.type] : schema.type
}

function ownProperty<T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined
}
