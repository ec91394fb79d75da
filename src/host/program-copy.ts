import { fstat, read, write } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { promisify } from 'node:util'
import { createSealableFile, type SealableFile } from '../native/sealed-file.ts'
import { hashWhileReading, readWhole, type ByteSource, type Digest } from './checksum.ts'
import { openPrivateFolder } from './private-folder.ts'
import type { RunsFrom } from './verified-copy.ts'

/** A copy of one program file, with the digest of the bytes that it holds from now on. */
export interface ProgramCopy {
  /** The path by which a child that was given `descriptor` as its number 3 runs it. */
  readonly path: string
  readonly descriptor?: number
  readonly runsFrom: RunsFrom
  readonly sha256: Digest
  readonly head: Buffer
  close(): Promise<void>
}

/** Where a copy goes. */
export interface CopyPlace {
  /** `memory` falls back to `file` where the machine has no sealed memory. */
  readonly kind: 'memory' | 'file'
  readonly folder: string
  /** The program's own path: the copy is called alike. */
  readonly name: string
}

/** Copies `source` and hashes what the copy holds. */
export async function openCopy(source: FileHandle, place: CopyPlace): Promise<ProgramCopy> {
  if (place.kind === 'memory') {
    const sealed = createSealableFile(`plugin:${basename(place.name)}`.slice(0, 200))
    if (sealed.works) return copyIntoMemory(source, sealed.file)
  }
  return copyIntoFile(source, place)
}

/** Where a child finds its descriptor 3. Scripts can be opened there too, unlike behind a close-on-exec number. */
const ownDescriptor = '/proc/self/fd/3'

/**
 * Filled, sealed, and only then hashed: while it is being filled, a process of the same user may write to it through
 * our own descriptors in `/proc`.
 */
async function copyIntoMemory(source: FileHandle, file: SealableFile): Promise<ProgramCopy> {
  const { descriptor } = file
  try {
    await readWhole(source, (piece, position) => writeToDescriptor(descriptor, piece, position))
    file.seal()
    const { sha256, head } = await hashWhileReading(sourceOf(descriptor))
    const close = async (): Promise<void> => file.close()
    return { path: ownDescriptor, descriptor, runsFrom: 'sealed memory', sha256, head, close }
  } catch (error) {
    file.close()
    throw error
  }
}

function sourceOf(descriptor: number): ByteSource {
  return {
    stat: () => promisify(fstat)(descriptor),
    read: (into, offset, length, position) => promisify(read)(descriptor, into, offset, length, position),
  }
}

async function copyIntoFile(source: FileHandle, place: CopyPlace): Promise<ProgramCopy> {
  const folder = await openPrivateFolder(place.folder)
  try {
    const name = `program${extname(place.name)}`
    const hashed = await folder.write(name, source)
    return {
      path: `${folder.path}/${name}`,
      runsFrom: 'private copy',
      sha256: hashed.sha256,
      head: hashed.head,
      close: () => folder.close(),
    }
  } catch (error) {
    await folder.close()
    throw error
  }
}

function writeToDescriptor(descriptor: number, piece: Buffer, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (done: number): void => {
      if (done === piece.length) return resolve()
      write(descriptor, piece, done, piece.length - done, position + done, (error, written) => {
        if (error !== null) reject(error)
        else next(done + written)
      })
    }
    next(0)
  })
}
