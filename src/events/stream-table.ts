import type { OwedRow } from './outbox.ts'

/** One user's events for one notifier. At most one telling of them is under way. */
export interface Stream {
  readonly name: string
  /** The oldest events, where they are at hand; the others are read when these are told. */
  rows: OwedRow[]
  /** The newest number this stream has seen, read or heard. */
  seen: number
  /** Whether the database may hold more than `rows`. */
  more: boolean
  state: 'idle' | 'queued' | 'busy' | 'waiting' | 'gathering'
  /** How many of `rows`, the oldest, are being told while it is busy. */
  underway: number
  /** Up to this number each is told alone: telling them together failed. */
  aloneTo: number
  /** Calls the wait off. */
  cancel: () => void
  attempts: number
  /** When the event at the head failed first, in successes of its relay; undefined while it has not. */
  failingSince: number | undefined
}

/** Where streams are read from. */
export interface StreamSource {
  page(stream: string, most: number): readonly OwedRow[]
  /** Names after `stream`, in order. */
  streamsAfter(stream: string, most: number): readonly string[]
}

/** Most events in memory, of all streams together. */
const mostRows = 4_096
/** Streams known by name; the others are found again when these have become few. */
const mostStreams = 20_000
const namesPerLook = 500

/** The streams in which a notifier is owed something, in bounded memory: the database is where they all are. */
export class StreamTable {
  readonly #source: StreamSource
  readonly #rowsPerStream: number
  readonly #streams = new Map<string, Stream>()
  #rowsAtHand = 0
  #unlisted = false

  constructor(source: StreamSource, rowsPerStream: number) {
    this.#source = source
    this.#rowsPerStream = rowsPerStream
  }

  get size(): number {
    return this.#streams.size
  }

  /** Whether streams were left out and there is room for them now. */
  get shouldLook(): boolean {
    return this.#unlisted && this.#streams.size < mostStreams / 2
  }

  /** Whether every stream is here. */
  get isComplete(): boolean {
    return !this.#unlisted
  }

  all(): IterableIterator<Stream> {
    return this.#streams.values()
  }

  /** Takes an event that was just written down; undefined when its stream is one of too many. */
  hear(row: OwedRow): Stream | undefined {
    const stream = this.#streams.get(row.stream) ?? this.#list(row.stream, false)
    if (stream === undefined) return undefined
    const isNext = row.seq > stream.seen && !stream.more
    if (isNext && stream.rows.length < this.#rowsPerStream && this.#rowsAtHand < mostRows) {
      stream.rows.push(row)
      stream.seen = row.seq
      this.#rowsAtHand += 1
    } else {
      stream.more = true
    }
    return stream
  }

  /** Looks at the database for streams, known and new; each of them may have more than is known. */
  look(found: (stream: Stream) => void): void {
    this.#unlisted = false
    for (const stream of this.#streams.values()) this.#letGo(stream)
    for (let last = ''; ;) {
      const names = this.#source.streamsAfter(last, namesPerLook)
      for (const name of names) {
        const stream = this.#streams.get(name) ?? this.#list(name, true)
        if (stream !== undefined) found(stream)
      }
      if (names.length < namesPerLook || this.#unlisted) return
      last = names.at(-1) ?? ''
    }
  }

  /** The oldest events of the stream that are still owed and may be told together, as far as they are at hand. */
  next(stream: Stream, most: number): readonly OwedRow[] {
    if (stream.rows.length === 0 && stream.more) {
      const room = Math.max(1, Math.min(this.#rowsPerStream, mostRows - this.#rowsAtHand))
      const rows = this.#source.page(stream.name, room)
      stream.rows = [...rows]
      this.#rowsAtHand += rows.length
      stream.more = rows.length === room
      stream.seen = Math.max(stream.seen, rows.at(-1)?.seq ?? 0)
      stream.attempts = rows[0]?.attempts ?? 0
    }
    const failedBefore = stream.rows.findIndex(({ attempts }, index) => index > 0 && attempts > 0)
    const together = (stream.rows[0]?.seq ?? 0) <= stream.aloneTo ? 1 : most
    return stream.rows.slice(0, failedBefore === -1 ? together : Math.min(together, failedBefore))
  }

  /** The head is done with. */
  advance(stream: Stream): void {
    stream.rows.shift()
    stream.underway -= 1
    this.#rowsAtHand -= 1
    stream.failingSince = undefined
    stream.attempts = stream.rows[0]?.attempts ?? 0
  }

  forget(stream: Stream): void {
    this.#streams.delete(stream.name)
  }

  /** What is at hand may have been dropped meanwhile: all but the events under way is read again. */
  #letGo(stream: Stream): void {
    const kept = stream.state === 'busy' ? stream.underway : 0
    this.#rowsAtHand -= stream.rows.splice(kept).length
    stream.more = true
  }

  #list(name: string, more: boolean): Stream | undefined {
    if (this.#streams.size >= mostStreams) {
      this.#unlisted = true
      return undefined
    }
    const stream: Stream = {
      ...{ name, more, rows: [], seen: 0, state: 'idle', underway: 0, aloneTo: 0, attempts: 0 },
      cancel() {},
      failingSince: undefined,
    }
    this.#streams.set(name, stream)
    return stream
  }
}
