import type { OwedRow } from './outbox.ts'

/** The first event of a stream that a notifier is owed. */
export type StreamHead = Pick<OwedRow, 'stream' | 'seq'>

/** Where one notifier's debts are read. */
export interface Debts {
  /** Of the streams after `stream`, by name. */
  heads(stream: string, most: number): readonly StreamHead[]
  isOwed(head: StreamHead): boolean
  writtenMs(seq: number): number | undefined
}

/** Streams that are looked at before other work gets its turn (a millisecond or two), and in one look. */
const page = 500
const mostPerLook = 10_000

/**
 * Finds when the oldest event was written down that a notifier is owed. Debts are kept by stream, so that takes a look at
 * each; once found, the oldest stays it until it is paid, because what comes later is younger.
 */
export class OldestWaiting {
  readonly #debts: Debts
  /** What a whole round found. */
  #oldest: StreamHead | undefined
  #found: StreamHead | undefined
  #after = ''

  constructor(debts: Debts) {
    this.#debts = debts
  }

  /** Of more streams than one look reads, the oldest so far; undefined when nothing waits. */
  async look(): Promise<number | undefined> {
    if (this.#oldest === undefined || !this.#debts.isOwed(this.#oldest)) await this.#search()
    const oldest = older(this.#oldest, this.#found)
    return oldest === undefined ? undefined : this.#debts.writtenMs(oldest.seq)
  }

  /** Older ones may have come. */
  forget(): void {
    this.#oldest = undefined
    this.#found = undefined
    this.#after = ''
  }

  async #search(): Promise<void> {
    this.#oldest = undefined
    if (this.#found !== undefined && !this.#debts.isOwed(this.#found)) this.#found = undefined
    for (let looked = 0; looked < mostPerLook; looked += page) {
      const heads = this.#debts.heads(this.#after, page)
      for (const head of heads) this.#found = older(head, this.#found)
      if (heads.length < page) return this.#endRound()
      this.#after = heads.at(-1)?.stream ?? ''
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #endRound(): void {
    const found = this.#found
    this.forget()
    this.#oldest = found
  }
}

function older(one: StreamHead | undefined, other: StreamHead | undefined): StreamHead | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return one.seq < other.seq ? one : other
}
