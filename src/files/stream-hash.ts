import { createHash, type Hash } from 'node:crypto'
import type { Soon } from '../base/soon.ts'
import type { OpenFile } from '../storage/backend.ts'

/** SHA-256 of a file while it is written; read again at the end when it was not written from start to end. */
export class StreamHash {
  #hash: Hash | undefined = createHash('sha256')
  #position = 0

  written(chunks: readonly Buffer[], position: number): void {
    if (this.#hash === undefined) return
    if (position !== this.#position) return this.spoil()
    for (const chunk of chunks) {
      this.#hash.update(chunk)
      this.#position += chunk.length
    }
  }

  /** The content was changed in another way than by writing on. */
  spoil(): void {
    this.#hash = undefined
  }

  /** In hex. */
  of(file: OpenFile, size: number): Soon<string> {
    if (this.#hash !== undefined && this.#position === size) return this.#hash.digest('hex')
    return readAgain(file)
  }
}

async function readAgain(file: OpenFile): Promise<string> {
  const hash = createHash('sha256')
  const piece = Buffer.allocUnsafe(256 * 1024)
  for (let position = 0; ;) {
    const read = await file.read(piece, position)
    if (read === 0) return hash.digest('hex')
    hash.update(piece.subarray(0, read))
    position += read
    await new Promise(setImmediate)
  }
}
