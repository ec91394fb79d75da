import type { FileHandle } from 'node:fs/promises'
import { PluginError } from '../base/errors.ts'
import { digestOf, hashWhileReading, parseDigest, type Digest } from './checksum.ts'
import { folderProgram, interpretedProgram } from './folder-program.ts'
import { openCopy } from './program-copy.ts'
import { programKindOf, programPlaceOf, type ProgramEntry } from './program.ts'
import { openSource, readManifest, requireDigest, requireExecutable, requireNative } from './source-file.ts'

/** A program whose bytes are proven, ready to be started; `close` gives back what it holds. */
export interface VerifiedProgram {
  /** What is spawned, and with what before the entry's own arguments. */
  readonly command: string
  readonly leadingArgs: readonly string[]
  readonly args: readonly string[]
  /** What the program sees as its own name. */
  readonly argv0: string
  /** Handed to the child as its number 3. */
  readonly descriptor?: number
  readonly runsFrom: RunsFrom
  readonly sha256: Digest
  /** What the digest does not cover, for the log and `plugin status`. */
  readonly warning?: string
  close(): Promise<void>
}

/** Whether even root could no longer change the bytes, or everyone but root and the server's own user. */
export type RunsFrom = 'sealed memory' | 'private copy'

/** How to make the copy. */
export interface VerifyOptions {
  /** `memory` seals where the machine can; `file` makes a private file. */
  readonly runFrom: 'memory' | 'file'
  /** The folder, 0700, that private copies are made in. */
  readonly runFolder: string
  /** Computes digests itself: for an entry under development in a server started for that. */
  readonly trustAnyBytes?: boolean
}

/** What is asked of one copying. */
export interface CopyWork {
  readonly entry: ProgramEntry
  readonly options: VerifyOptions
  /** Undefined: any bytes will do. */
  readonly expected: Digest | undefined
}

/**
 * Copies the program of `entry` while hashing it, and returns that very copy.
 *
 * Throws when the digest is not the configured one, so bytes that were not approved never reach `spawn`.
 */
export async function verifiedCopy(entry: ProgramEntry, options: VerifyOptions): Promise<VerifiedProgram> {
  const place = programPlaceOf(entry)
  const work: CopyWork = { entry, options, expected: await expectedDigest(entry, place.path, options) }
  if (place.at === 'argument') return interpretedProgram(work, place)
  const source = await openSource(place.path, entry.name)
  if (source.isFolder) return folderProgram(work, place.path, place.args)
  try {
    return await fileProgram(work, source.handle, place.path, place.args)
  } finally {
    await source.handle.close()
  }
}

/** The digest that has to go into `sha256sum`: of the file, or of the `plugin.json` of a folder. */
export async function digestToApprove(path: string, name = path): Promise<Digest> {
  const source = await openSource(path, name)
  if (source.isFolder) return digestOf(await readManifest(path, name))
  try {
    return (await hashWhileReading(source.handle)).sha256
  } finally {
    await source.handle.close()
  }
}

async function expectedDigest(
  entry: ProgramEntry,
  path: string,
  options: VerifyOptions,
): Promise<Digest | undefined> {
  if (entry.sha256sum !== undefined && entry.sha256sum !== '') return parseDigest(entry.sha256sum, entry.name)
  if (options.trustAnyBytes === true) return undefined
  const digest = await digestToApprove(path, entry.name)
  throw new PluginError(
    'checksum-missing',
    `Cannot start "${entry.name}": it has no sha256sum; if "${path}" is the right program, add "sha256sum": "${digest}"`,
  )
}

/** One file: sealed where possible. */
async function fileProgram(
  { entry, options, expected }: CopyWork,
  handle: FileHandle,
  path: string,
  args: readonly string[],
): Promise<VerifiedProgram> {
  const copy = await openCopy(handle, { kind: options.runFrom, folder: options.runFolder, name: path })
  try {
    requireDigest(expected, copy.sha256, entry.name, path)
    const kind = programKindOf(path, copy.head)
    const node = kind.run === 'node'
    if (!node) await requireExecutable(handle, entry.name, path)
    if (kind.run === 'directly') requireNative(copy.head, entry.name, path)
    return {
      command: node ? process.execPath : copy.path,
      // Without the flag Node would look for the name behind the descriptor, which does not exist.
      leadingArgs: node ? ['--preserve-symlinks-main', copy.path] : [],
      args,
      argv0: node ? process.execPath : path,
      ...(copy.descriptor !== undefined && { descriptor: copy.descriptor }),
      runsFrom: copy.runsFrom,
      sha256: copy.sha256,
      ...(kind.run === 'script' && {
        warning: `the interpreter "${kind.interpreter}" and the libraries it loads are not covered by the checksum`,
      }),
      close: () => copy.close(),
    }
  } catch (error) {
    await copy.close()
    throw error
  }
}
