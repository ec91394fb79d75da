import { FileError } from '../base/errors.ts'
import type { OpenTransfer } from '../files/user-files.ts'
import { maxDataBytes } from './protocol.ts'

/** What to copy, and where to. */
export interface CopyOptions {
  readonly from: OpenTransfer
  readonly into: OpenTransfer
  readonly fromPosition: number
  readonly intoPosition: number
  /** Bytes; undefined means to the end of the source. */
  readonly length: number | undefined
  /** Whether nobody waits for the end any more. */
  readonly givenUp: () => boolean
}

/** Copies in pieces, giving way to others between them. Throws `end-of-file` when the source is too short. */
export async function copyData(options: CopyOptions): Promise<void> {
  const { from, into, fromPosition, intoPosition, length } = options
  const sizeBytes = await sizeOfOther(from, into)
  const isWhole = fromPosition === 0 && intoPosition === 0 && (length === undefined || length === sizeBytes)
  const { copySource } = from
  if (!isWhole || copySource === undefined || into.copyOf === undefined) return copyPieces(options)
  return into.copyOf(copySource, () => copyPieces(options))
}

async function copyPieces({
  from,
  into,
  fromPosition,
  intoPosition,
  length,
  givenUp,
}: CopyOptions): Promise<void> {
  const piece = Buffer.allocUnsafe(Math.min(maxDataBytes, length ?? maxDataBytes))
  const end = length ?? Infinity
  for (let copied = 0; copied < end;) {
    const wanted = Math.min(piece.length, end - copied)
    const read = await from.read(piece.subarray(0, wanted), fromPosition + copied)
    if (read === 0) {
      if (length === undefined) return
      throw new FileError('end-of-file', 'Cannot copy past the end')
    }
    await into.write([piece.subarray(0, read)], intoPosition + copied)
    copied += read
    await new Promise(setImmediate)
    // A file may be a hole of many terabytes: without this, whoever asks and leaves fills the disk.
    if (givenUp()) throw new FileError('interrupted', 'Cannot go on copying: the session is over')
  }
}

/** How large `from` is, which must not be the file that `into` is. */
async function sizeOfOther(from: OpenTransfer, into: OpenTransfer): Promise<number> {
  const [source, target] = [await from.attributes(), await into.attributes()]
  if (source.inode !== 0 && source.inode === target.inode && source.device === target.device) {
    throw new FileError('bad-handle', 'Cannot copy a file onto itself')
  }
  return source.size
}
