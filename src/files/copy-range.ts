import type { OpenFile } from '../storage/backend.ts'

const pieceBytes = 256 * 1024

/** Copies bytes to the same place in another file, up to `end` or the end of the source, giving way to others meanwhile. */
export async function copyRange(from: OpenFile, to: OpenFile, start: number, end = Infinity): Promise<void> {
  const piece = Buffer.allocUnsafe(Math.max(0, Math.min(pieceBytes, end - start)))
  for (let position = start; position < end;) {
    const length = await from.read(piece.subarray(0, Math.min(piece.length, end - position)), position)
    if (length === 0) return
    await to.write([piece.subarray(0, length)], position)
    position += length
    // A disk that answers at once would let nobody else in.
    await new Promise(setImmediate)
  }
}
