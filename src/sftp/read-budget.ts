import type { BufferPool } from './buffer-pool.ts'
import type { FileLine } from './file-line.ts'

/** How many READs of one session are under way, and which handles wait for their turn. */
export class ReadBudget {
  readonly #buffers: BufferPool
  readonly #most: number
  readonly #isFull: () => boolean
  /** First come, first served. */
  readonly #waiting = new Set<FileLine>()
  #running = 0
  #waking = false

  /** `isFull` tells whether the stream has enough for now. */
  constructor(options: { buffers: BufferPool; most: number; isFull: () => boolean }) {
    this.#buffers = options.buffers
    this.#most = options.most
    this.#isFull = options.isFull
  }

  /** A buffer for one READ, or undefined: `line` is pumped when there may be one. */
  begin(line: FileLine): Buffer | undefined {
    if (!this.#mayBegin()) {
      this.#waiting.add(line)
      return undefined
    }
    this.#running += 1
    return this.#buffers.take()
  }

  /** `line` is pumped when the stream has room. */
  wait(line: FileLine): void {
    this.#waiting.add(line)
  }

  /** One READ less; `unused` goes back unsent. */
  end(unused: Buffer | undefined): void {
    this.#running -= 1
    if (unused !== undefined) this.#buffers.give(unused)
    this.wake()
  }

  /** Lets those who wait try again. */
  wake(): void {
    if (this.#waking) return
    this.#waking = true
    // A line that has to wait on adds itself again: it is not asked twice.
    for (const line of [...this.#waiting]) {
      if (!this.#mayBegin()) break
      this.#waiting.delete(line)
      line.pump()
    }
    this.#waking = false
  }

  clear(): void {
    this.#waiting.clear()
  }

  #mayBegin(): boolean {
    return this.#running < this.#most && !this.#isFull()
  }
}
