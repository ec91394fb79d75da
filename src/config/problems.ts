import type { ConfigErrorCode } from '../base/errors.ts'

/** The way to a setting: keys and list indexes. */
export type SettingPath = readonly (string | number)[]

/** Where a value stands: in a file, in a variable of the environment, or nowhere (a default). */
export type Place =
  | { readonly in: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly in: 'variable'; readonly variable: string; readonly file?: string }
  | { readonly in: 'default' }

/** One mistake in a configuration: where, what, and what would be right. */
export interface Problem {
  readonly code: ConfigErrorCode
  readonly path: SettingPath
  readonly place: Place
  /** What is wrong and what was expected, without the path. */
  readonly message: string
  /** The key or word that was probably meant. */
  readonly suggestion?: string
  /**
   * True when the configuration can be used but the server will refuse to start with it (a plugin without a
   * checksum): `plugin probe` and its like still work.
   */
  readonly onlyAtStart?: boolean
}

/** A problem as one line: place, path, message, suggestion. */
export function formatProblem(problem: Problem): string {
  const { path, place, message, suggestion } = problem
  const where = formatPlace(place)
  const name = path.length === 0 ? '' : `${formatPath(path)}: `
  const meant = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`
  return `${where === '' ? '' : `${where}: `}${name}${message}${meant}`
}

/** A path as people write it: `sftpd.bindings[0].port`. */
export function formatPath(path: SettingPath): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join('')
}

/** A place as `FILE:LINE:COLUMN` or the name of the variable. */
export function formatPlace(place: Place): string {
  if (place.in === 'default') return ''
  if (place.in === 'file') return `${place.file}:${place.line}:${place.column}`
  return place.file === undefined ? `$${place.variable}` : `${place.file}: $${place.variable}`
}
