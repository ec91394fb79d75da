import type { Logger } from '../base/log.ts'
import type { Database } from '../database/open-database.ts'

/** What numbers need. */
export interface EventNumbersOptions {
  readonly database: Database
  readonly log: Logger
}

/** Numbers that are taken from the database at once. */
const numbersAtOnce = 1_000_000

const sql = {
  take: "update sqlite_sequence set seq = seq + ? where name = 'outbox'",
  first:
    "insert into sqlite_sequence (name, seq) select 'outbox', ? where not exists (select 1 from sqlite_sequence where name = 'outbox')",
  last: "select seq from sqlite_sequence where name = 'outbox'",
} as const

/** Numbers of events, taken from the database many at once, so that an event gets its own without asking there. */
export class EventNumbers {
  readonly #options: EventNumbersOptions
  #next = 0
  #left = 0
  #taking = false

  constructor(options: EventNumbersOptions) {
    this.#options = options
  }

  /** Whether there is one. */
  get isReady(): boolean {
    return this.#left > 0
  }

  /** The number that the next event gets. */
  get next(): number {
    return this.#next
  }

  /** It is used now. */
  use(): void {
    this.#next += 1
    this.#left -= 1
    // The last ones of a block go through the database until there is a new block, so none is waited for.
    if (this.#taking || (this.#left !== numbersAtOnce / 2 && this.#left !== 0)) return
    this.#taking = true
    this.take()
      .catch((error: unknown) => this.#options.log.error('no numbers for events', { error }))
      .finally(() => {
        this.#taking = false
      })
  }

  /** Takes a new block. */
  async take(): Promise<void> {
    const result = await this.#options.database.writer.write([
      { sql: sql.first, values: [0] },
      { sql: sql.take, values: [numbersAtOnce] },
      { sql: sql.last, values: [], returnsRows: true },
    ])
    const last = result.applied ? result.rows.flat().at(-1)?.['seq'] : undefined
    if (typeof last !== 'number') throw new TypeError('The database gave no numbers')
    this.#next = last - numbersAtOnce + 1
    this.#left = numbersAtOnce
  }
}
