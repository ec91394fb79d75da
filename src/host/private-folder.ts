import { constants } from 'node:fs'
import { chmod, mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import { hashWhileReading, type HashedBytes } from './checksum.ts'

/** A folder that only the server's own user can enter, filled file by file. */
export interface PrivateFolder {
  readonly path: string
  /** Copies `source` to the relative path `name`, hashing what it writes. */
  write(name: string, source: FileHandle): Promise<HashedBytes>
  /** Removes the folder and what is in it. */
  close(): Promise<void>
}

/** Makes such a folder below `parent`, which is made too where it is missing. */
export async function openPrivateFolder(parent: string): Promise<PrivateFolder> {
  makeFolders(parent, 0o700)
  const path = await mkdtemp(join(parent, 'copy-'))
  return {
    path,
    write: (name, source) => writeCopy(join(path, name), source),
    close: () => rm(path, { recursive: true, force: true }),
  }
}

async function writeCopy(path: string, source: FileHandle): Promise<HashedBytes> {
  makeFolders(dirname(path), 0o700)
  const target = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    const hashed = await hashWhileReading(source, async (piece, position) => {
      await writeWhole(target, piece, position)
    })
    // A writer that is still open would make the kernel refuse to run the file, so the caller never sees one.
    await target.close()
    await chmod(path, 0o500)
    return hashed
  } catch (error) {
    await target.close().catch(() => {})
    throw error
  }
}

/** Writes all of `piece`: one call may write less. */
export async function writeWhole(target: FileHandle, piece: Buffer, position: number): Promise<void> {
  for (let done = 0; done < piece.length;) {
    const { bytesWritten } = await target.write(piece, done, piece.length - done, position + done)
    done += bytesWritten
  }
}
