import { applyEdits, modify, type FormattingOptions } from 'jsonc-parser'
import { chmodSync, chownSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { ConfigError } from '../base/errors.ts'
import { type ConfigSource, parseConfigSource } from './config-source.ts'

/** A plugin entry as it is written into a file: only what somebody wants to say. */
export type WrittenEntry = Readonly<Record<string, unknown>>

/** Adds an entry at the end of `plugins`, leaving every other character of the text as it is. */
export function addPluginEntry(file: string, text: string, entry: WrittenEntry): string {
  const source = checked(file, text)
  if (!source.has(['plugins'])) return edited(text, ['plugins'], [entry])
  return applyEdits(text, modify(text, ['plugins', -1], entry, { formattingOptions, isArrayInsertion: true }))
}

/** Sets or takes out one key of an entry. */
export function setPluginKey(file: string, text: string, index: number, key: string, value: unknown): string {
  checked(file, text)
  return edited(text, ['plugins', index, key], value)
}

/** Takes an entry out. */
export function removePluginEntry(file: string, text: string, index: number): string {
  checked(file, text)
  return edited(text, ['plugins', index], undefined)
}

/** The written entries of a text, as far as they are objects. */
export function writtenEntries(file: string, text: string): readonly WrittenEntry[] {
  const { value } = checked(file, text)
  const plugins: unknown = isObject(value) ? value['plugins'] : undefined
  return Array.isArray(plugins) ? plugins.map((one: unknown) => (isObject(one) ? one : {})) : []
}

/** What a text says as `$schema`, where an editor finds the schema. */
export function writtenSchema(file: string, text: string): string | undefined {
  const { value } = parseConfigSource(file, text)
  const schema = isObject(value) ? value['$schema'] : undefined
  return typeof schema === 'string' ? schema : undefined
}

/** Puts a text in the place of a file in one step: who may read it stays as it is, and a link stays a link. */
export function replaceConfig(file: string, text: string): void {
  const target = realpathSync(file)
  const part = `${target}.part`
  const { mode, uid, gid } = statSync(target)
  rmSync(part, { force: true })
  writeFileSync(part, text, { mode: mode & 0o777, flag: 'wx' })
  chmodSync(part, mode & 0o777)
  // An administrator who edits the file of a service leaves it to the service.
  if (process.getuid?.() === 0) chownSync(part, uid, gid)
  renameSync(part, target)
}

const formattingOptions: FormattingOptions = { insertSpaces: true, tabSize: 2, eol: '\n' }

function edited(text: string, path: (string | number)[], value: unknown): string {
  return applyEdits(text, modify(text, path, value, { formattingOptions }))
}

function checked(file: string, text: string): ConfigSource {
  const source = parseConfigSource(file, text)
  if (source.problems.length === 0) return source
  throw new ConfigError('syntax', `Cannot edit "${file}": it has mistakes; "config check" lists them`)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
