import { write } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { createSealableFile, type SealableFile } from '../native/sealed-file.ts'
import { hashWhileReading, type Digest } from './checksum.ts'
import { openPrivateFolder } from './private-folder.ts'
import type { RunsFrom } from './verified-copy.ts'

/** A copy of one program file. It may be judged before `seal`, and run only after. */
export interface ProgramCopy {
  /** The path by which a child that was given `descriptor` as its number 3 runs it. */
  readonly path: string
  readonly descriptor?: number
  readonly runsFrom: RunsFrom
  readonly sha256: Digest
  readonly head: Buffer
  seal(): Promise<void>
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

/** Copies `source`, hashing it on the way. */
export async function openCopy(source: FileHandle, place: CopyPlace): Promise<ProgramCopy> {
  if (place.kind === 'memory') {
    const sealed = createSealableFile(`plugin:${basename(place.name)}`.slice(0, 200))
    if (sealed.works) return copyIntoMemory(source, sealed.file)
  }
  return copyIntoFile(source, place)
}

/** Where a child finds its descriptor 3. Scripts can be opened there too, unlike behind a close-on-exec number. */
const ownDescriptor = '/proc/self/fd/3'

async function copyIntoMemory(source: FileHandle, file: SealableFile): Promise<ProgramCopy> {
  try {
    const hashed = await hashWhileReading(source, (piece, position) =>
      writeToDescriptor(file.descriptor, piece, position),
    )
    return {
      path: ownDescriptor,
      descriptor: file.descriptor,
      runsFrom: 'sealed memory',
      sha256: hashed.sha256,
      head: hashed.head,
      seal: async () => file.seal(),
      close: async () => file.close(),
    }
  } catch (error) {
    file.close()
    throw error
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
      seal: async () => {},
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
