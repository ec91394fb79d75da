import { basename, dirname } from 'node:path'
import { PluginError } from '../base/errors.ts'
import { digestOf, parseDigest, sameDigest, type Digest } from './checksum.ts'
import { parseProgramManifest, type ProgramManifest } from './manifest.ts'
import { openPrivateFolder } from './private-folder.ts'
import { openCopy, type ProgramCopy } from './program-copy.ts'
import { fileIn, programKindOf } from './program.ts'
import { openSource, readManifest, requireDigest, requireNative, withSourceFile } from './source-file.ts'
import type { CopyWork, VerifiedProgram } from './verified-copy.ts'

/** A folder: every file its manifest lists, copied into a private folder and run from there. */
export async function folderProgram(
  work: CopyWork,
  folder: string,
  args: readonly string[],
): Promise<VerifiedProgram> {
  const { manifest, sha256 } = await approvedManifest(work, folder)
  const { interpreter } = manifest
  if (interpreter !== undefined && work.entry.interpreterSha256 === undefined)
    throw new PluginError(
      'interpreter-unverified',
      `Cannot start "${work.entry.name}": its plugin.json names the interpreter "${interpreter}", so interpreter_sha256 is needed`,
    )
  const copy = await copyFolder(work, folder, manifest)
  const main = { path: fileIn(copy.path, manifest.entry), sha256, close: () => copy.close() }
  if (interpreter !== undefined) return withInterpreter(work, interpreter, main, args)
  const kind = programKindOf(manifest.entry, copy.entryHead)
  try {
    if (kind.run === 'directly')
      requireNative(copy.entryHead, work.entry.name, fileIn(folder, manifest.entry))
  } catch (error) {
    await copy.close()
    throw error
  }
  const node = kind.run === 'node'
  return {
    command: node ? process.execPath : main.path,
    leadingArgs: node ? [main.path] : [],
    args,
    argv0: node ? process.execPath : fileIn(folder, manifest.entry),
    runsFrom: 'private copy',
    sha256,
    ...(kind.run === 'script' && {
      warning: `the interpreter "${kind.interpreter}" and the libraries it loads are not covered by the checksum`,
    }),
    close: main.close,
  }
}

/** `cmd` is an interpreter with a digest of its own; the first argument is a script, or a folder with a manifest. */
export async function interpretedProgram(
  work: CopyWork,
  place: { readonly interpreter: string; readonly path: string; readonly args: readonly string[] },
): Promise<VerifiedProgram> {
  const main = await mainProgram(work, place.path)
  return withInterpreter(work, place.interpreter, main, place.args)
}

/** What an interpreter is given to run: a private copy. */
interface Main {
  readonly path: string
  readonly sha256: Digest
  close(): Promise<void>
}

async function mainProgram(work: CopyWork, path: string): Promise<Main> {
  const source = await openSource(path, work.entry.name)
  await source.handle?.close()
  const folder = source.isFolder ? path : await folderAround(work, path)
  if (folder !== undefined) {
    const { manifest, sha256 } = await approvedManifest(work, folder)
    const copy = await copyFolder(work, folder, manifest)
    const name = source.isFolder ? manifest.entry : basename(path)
    return { path: fileIn(copy.path, name), sha256, close: () => copy.close() }
  }
  const copy = await copyFile({ ...work, options: { ...work.options, runFrom: 'file' } }, path, work.expected)
  return { path: copy.path, sha256: copy.sha256, close: () => copy.close() }
}

/** The folder of a script, when the approved manifest lies beside it and lists it. */
async function folderAround({ expected }: CopyWork, script: string): Promise<string | undefined> {
  const folder = dirname(script)
  try {
    const bytes = await readManifest(folder, '')
    if (expected === undefined || !sameDigest(digestOf(bytes), expected)) return undefined
    const { files } = parseProgramManifest(bytes, '')
    return files.some((file) => file.path === basename(script)) ? folder : undefined
  } catch {
    return undefined
  }
}

/** Adds the verified interpreter to a private copy, and takes charge of that copy. */
async function withInterpreter(
  work: CopyWork,
  interpreter: string,
  main: Main,
  args: readonly string[],
): Promise<VerifiedProgram> {
  try {
    const expected = parseDigest(work.entry.interpreterSha256 ?? '', work.entry.name)
    const copy = await copyFile(work, interpreter, expected)
    return {
      command: copy.path,
      leadingArgs: [main.path],
      args,
      // Interpreters find their own library by the name they were called with.
      argv0: interpreter,
      ...(copy.descriptor !== undefined && { descriptor: copy.descriptor }),
      runsFrom: 'private copy',
      sha256: main.sha256,
      warning: `the libraries that "${interpreter}" loads are not covered by the checksum`,
      close: async () => {
        await copy.close()
        await main.close()
      },
    }
  } catch (error) {
    await main.close()
    throw error
  }
}

function copyFile(
  { entry, options }: CopyWork,
  path: string,
  expected: Digest | undefined,
): Promise<ProgramCopy> {
  return withSourceFile(path, entry.name, async (handle) => {
    const copy = await openCopy(handle, { kind: options.runFrom, folder: options.runFolder, name: path })
    try {
      requireDigest(expected, copy.sha256, entry.name, path)
      return copy
    } catch (error) {
      await copy.close()
      throw error
    }
  })
}

async function approvedManifest(
  { entry, expected }: CopyWork,
  folder: string,
): Promise<{ manifest: ProgramManifest; sha256: Digest }> {
  const bytes = await readManifest(folder, entry.name)
  const sha256 = digestOf(bytes)
  requireDigest(expected, sha256, entry.name, fileIn(folder, 'plugin.json'))
  return { manifest: parseProgramManifest(bytes, entry.name), sha256 }
}

/** A copy of a whole folder, and the first bytes of its entry. */
interface FolderCopy {
  readonly path: string
  readonly entryHead: Buffer
  close(): Promise<void>
}

async function copyFolder(work: CopyWork, folder: string, manifest: ProgramManifest): Promise<FolderCopy> {
  const { name } = work.entry
  const copy = await openPrivateFolder(work.options.runFolder)
  let entryHead: Buffer = Buffer.alloc(0)
  try {
    for (const file of manifest.files) {
      const path = fileIn(folder, file.path)
      const written = await withSourceFile(path, name, (handle) => copy.write(file.path, handle))
      requireDigest(work.expected === undefined ? undefined : file.sha256, written.sha256, name, path)
      if (file.path === manifest.entry) entryHead = written.head
    }
    return { path: copy.path, entryHead, close: () => copy.close() }
  } catch (error) {
    await copy.close()
    throw error
  }
}
