/** Where printed bytes came from. */
export type PrintedFrom = 'stdout' | 'stderr'

/** Printed bytes on their way to the host. */
export interface PrintedPiece {
  readonly from: PrintedFrom
  readonly bytes: Buffer
}

/** Keeps what was printed until somebody reads it: in order, bounded, each byte to one reader. */
export class OutputQueue {
  readonly #limitBytes: number
  readonly #pieces: PrintedPiece[] = []
  readonly #waiting: (() => void)[] = []
  #held = 0
  #dropped = 0

  constructor(limitBytes = 4 << 20) {
    this.#limitBytes = limitBytes
  }

  /** Adds bytes; when nobody reads and the bound is reached, the newest are dropped and counted. */
  push(from: PrintedFrom, bytes: Buffer): void {
    if (this.#held + bytes.length > this.#limitBytes) {
      this.#dropped += bytes.length
      return
    }
    this.#noteDropped()
    for (let at = 0; at < bytes.length; at += largestPiece)
      this.#add(from, bytes.subarray(at, at + largestPiece))
    this.#waiting.shift()?.()
  }

  /** The pieces as they come, until the signal fires. What is not taken stays for the next reader. */
  async *read(signal: AbortSignal): AsyncGenerator<PrintedPiece, void, void> {
    while (!signal.aborted) {
      const piece = this.#take()
      if (piece === undefined) await this.#more(signal)
      else yield piece
    }
  }

  /** Takes everything at once, for a last word. */
  drain(): PrintedPiece[] {
    this.#held = 0
    return this.#pieces.splice(0)
  }

  #add(from: PrintedFrom, bytes: Buffer): void {
    this.#pieces.push({ from, bytes })
    this.#held += bytes.length
  }

  #take(): PrintedPiece | undefined {
    const piece = this.#pieces.shift()
    if (piece !== undefined) this.#held -= piece.bytes.length
    return piece
  }

  #noteDropped(): void {
    if (this.#dropped === 0) return
    this.#add('stderr', Buffer.from(`(${this.#dropped} bytes of output were dropped: nobody read them)\n`))
    this.#dropped = 0
  }

  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done)
        const at = this.#waiting.indexOf(done)
        if (at >= 0) this.#waiting.splice(at, 1)
        resolve()
      }
      signal.addEventListener('abort', done, { once: true })
      this.#waiting.push(done)
    })
  }
}

// Go sends 1 KiB; anything well below the 4 MiB that clients take is fine, and costs fewer messages.
const largestPiece = 32 * 1024
