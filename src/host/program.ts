import { realpathSync } from 'node:fs'
import { basename, extname, isAbsolute, join, resolve } from 'node:path'
import { PluginError } from '../base/errors.ts'
import { isInterpreterName } from '../base/interpreter.ts'

/** What an entry of the configuration says about the program. */
export interface ProgramEntry {
  readonly name: string
  readonly cmd: string
  readonly args: readonly string[]
  readonly sha256sum?: string | undefined
  readonly interpreterSha256?: string | undefined
}

/** How the bytes of a program are run. */
export type ProgramKind =
  /** The kernel runs it. */
  | { readonly run: 'directly' }
  /** The server's own Node runs it. */
  | { readonly run: 'node' }
  /** The kernel starts what its first line names; that program is not covered by the digest. */
  | { readonly run: 'script'; readonly interpreter: string }

/** Where the program lies, as far as the entry alone tells. */
export type ProgramPlace =
  | { readonly at: 'cmd'; readonly path: string; readonly args: readonly string[] }
  | {
      readonly at: 'argument'
      readonly interpreter: string
      readonly path: string
      readonly args: readonly string[]
    }

/**
 * Where the program of an entry lies: behind `cmd`, or behind the first argument when `cmd` is an interpreter.
 *
 * An interpreter without its own digest is refused: the digest of the entry would then cover the interpreter and
 * not one byte of the program.
 */
export function programPlaceOf(entry: ProgramEntry): ProgramPlace {
  const path = resolve(entry.cmd)
  if (entry.interpreterSha256 === undefined) {
    if (isInterpreter(path)) throw unverified(entry)
    return { at: 'cmd', path, args: entry.args }
  }
  if (!isInterpreter(path)) return { at: 'cmd', path, args: entry.args }
  if (!isAbsolute(entry.cmd)) throw notAbsolute(entry)
  const [script, ...args] = entry.args
  if (script === undefined || script.startsWith('-')) throw noScript(entry)
  return { at: 'argument', interpreter: path, path: resolve(script), args }
}

/** The files whose change may make an entry run that does not. */
export function placesOf(entry: ProgramEntry): string[] {
  const scripts = entry.interpreterSha256 === undefined ? [] : entry.args.slice(0, 1)
  return [entry.cmd, ...scripts].map((path) => resolve(path))
}

/** How to run a program, from its name and its first bytes. */
export function programKindOf(path: string, head: Buffer): ProgramKind {
  if (['.cjs', '.mjs', '.js'].includes(extname(path).toLowerCase())) return { run: 'node' }
  const interpreter = interpreterOf(head)
  if (interpreter === undefined) return { run: 'directly' }
  return isNode(interpreter.program) ? { run: 'node' } : { run: 'script', interpreter: interpreter.path }
}

/** The path that the first line names, and the program it means (`env` looks for another one). */
export function interpreterOf(head: Buffer): { path: string; program: string } | undefined {
  if (head[0] !== 0x23 || head[1] !== 0x21) return undefined
  const line = (head.toString('latin1').split('\n', 1)[0] ?? '').slice(2).trim()
  const [path = '', ...words] = line.split(/\s+/)
  const program = basename(path)
  if (program !== 'env') return { path, program }
  return { path, program: basename(words.find((word) => !word.startsWith('-') && !word.includes('=')) ?? '') }
}

function isNode(program: string): boolean {
  return program === 'node' || program === 'nodejs'
}

/** Whether a program runs what its arguments name. Looks behind links, so that another name hides nothing. */
function isInterpreter(path: string): boolean {
  return [path, realPathOf(path)].some((name) => isInterpreterName(basename(name)))
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function unverified({ name, cmd, args }: ProgramEntry): PluginError {
  const program = basename(cmd)
  const script = args[0] !== undefined && !args[0].startsWith('-') ? args[0] : 'the script'
  const remedy = isNode(program)
    ? `set cmd to "${script}" itself and sha256sum to its digest: the server runs JavaScript with its own Node`
    : 'add interpreter_sha256, the digest of the interpreter, and set sha256sum to the digest of the script or of the plugin.json beside it'
  return new PluginError(
    'interpreter-unverified',
    `Cannot start "${name}": its cmd "${program}" is an interpreter, so its checksum would not cover the program; ${remedy}`,
  )
}

function notAbsolute({ name }: ProgramEntry): PluginError {
  return new PluginError(
    'interpreter-unverified',
    `Cannot start "${name}": its interpreter must be named by an absolute path`,
  )
}

function noScript({ name }: ProgramEntry): PluginError {
  return new PluginError(
    'interpreter-unverified',
    `Cannot start "${name}": the first of its args must be the script or the folder that its interpreter runs`,
  )
}

/** The file `name` of the folder `folder`. */
export function fileIn(folder: string, name: string): string {
  return join(folder, ...name.split('/'))
}
