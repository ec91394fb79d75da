/** How old keys may become, and how long a key exchange may take, in milliseconds. */
export interface KeyAgeLimits {
  readonly rekeyMs: number
  readonly exchangeMs: number
}

/** Looks after the age of a connection's keys and of its key exchanges. */
export class KeyAge {
  readonly #limits: KeyAgeLimits
  #since: number
  #exchanging = false

  constructor(limits: KeyAgeLimits, now: number) {
    this.#limits = limits
    this.#since = now
  }

  /** There are new keys. */
  renewed(now: number): void {
    this.#since = now
    this.#exchanging = false
  }

  /** What is to be done: nothing, new keys, or an end to an exchange that has none. */
  sweep(exchanging: boolean, now: number): 'fine' | 'old' | 'stuck' {
    if (exchanging && !this.#exchanging) this.#since = now
    this.#exchanging = exchanging
    const age = now - this.#since
    if (exchanging && age > this.#limits.exchangeMs) return 'stuck'
    return age > this.#limits.rekeyMs ? 'old' : 'fine'
  }
}
