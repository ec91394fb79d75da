import { silentMeter, type Meter } from '../base/meter.ts'

/** How many connections there may be. Zero means: no limit. */
export interface ConnectionLimits {
  readonly total: number
  readonly perAddress: number
  /** Connections that are not logged in yet. */
  readonly halfOpen: number
  readonly halfOpenPerAddress: number
}

/** What has to be known of a connection. */
export interface Counted {
  /** Empty while it is not known: a proxy has not said it yet. */
  readonly address: string
  /** 0 for one that said nothing yet, more for each step, Infinity once it is logged in. */
  readonly progress: number
  /** Ends it at once; it is not counted any more. */
  destroy(reason: string): void
}

/** There was no place for a connection. */
export interface Full {
  readonly refused: string
  /** Which limit it was, for who counts. */
  readonly by: 'limit-address' | 'limit-total'
}

/** Everybody who is connected, whichever listener took them in, counted by address and by user. */
export class Crowd<C extends Counted = Counted> {
  readonly #meter: Pick<Meter, 'add'>
  // In the order of arrival: the first among equals is the oldest.
  readonly #all = new Set<C>()
  readonly #halfOpen = new Set<C>()
  readonly #byAddress = new Map<string, Set<C>>()
  readonly #sessionsByUser = new Map<string, number>()

  constructor(meter: Pick<Meter, 'add'> = silentMeter) {
    this.#meter = meter
  }

  get size(): number {
    return this.#all.size
  }

  get halfOpen(): number {
    return this.#halfOpen.size
  }

  /**
   * Takes a connection in, or says why not.
   *
   * Where there are too many, the stranger who got least far has to go: a flood of silent connections then takes
   * only each other's places, and a login beside it succeeds.
   */
  enter(
    connection: C,
    { total, perAddress, halfOpen, halfOpenPerAddress }: ConnectionLimits,
  ): Full | undefined {
    const here = connection.address === '' ? undefined : this.#byAddress.get(connection.address)
    const halfOpenHere = here === undefined ? [] : [...here].filter((each) => this.#halfOpen.has(each))
    if (isFull(perAddress, here?.size ?? 0) && !this.#evict(halfOpenHere))
      return { refused: 'too many connections from this address', by: 'limit-address' }
    if (isFull(halfOpenPerAddress, halfOpenHere.length)) this.#evict(halfOpenHere)
    if (isFull(total, this.#all.size) && !this.#evict(this.#halfOpen))
      return { refused: 'too many connections', by: 'limit-total' }
    if (isFull(halfOpen, this.#halfOpen.size)) this.#evict(this.#halfOpen)
    this.#add(connection)
    return undefined
  }

  /** It is logged in. */
  promote(connection: C): void {
    this.#halfOpen.delete(connection)
  }

  leave(connection: C): void {
    this.#all.delete(connection)
    this.#halfOpen.delete(connection)
    const here = this.#byAddress.get(connection.address)
    here?.delete(connection)
    if (here?.size === 0) this.#byAddress.delete(connection.address)
  }

  sessionsOf(username: string): number {
    return this.#sessionsByUser.get(username) ?? 0
  }

  /** Takes one of the user's sessions; `most` 0 means: no limit. Undefined when there is none left. */
  enterSession(username: string, most: number): (() => void) | undefined {
    const open = this.sessionsOf(username)
    if (isFull(most, open)) return undefined
    this.#sessionsByUser.set(username, open + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      const now = this.sessionsOf(username) - 1
      if (now > 0) this.#sessionsByUser.set(username, now)
      else this.#sessionsByUser.delete(username)
    }
  }

  #add(connection: C): void {
    this.#all.add(connection)
    this.#halfOpen.add(connection)
    const here = this.#byAddress.get(connection.address) ?? new Set()
    here.add(connection)
    this.#byAddress.set(connection.address, here)
  }

  /** Ends the one that got least far, the oldest among equals. */
  #evict(candidates: Iterable<C>): boolean {
    let worst: C | undefined
    for (const each of candidates) {
      if (this.#all.has(each) && (worst === undefined || each.progress < worst.progress)) worst = each
    }
    if (worst === undefined) return false
    this.leave(worst)
    this.#meter.add('sftpgo_connections_evicted_total')
    worst.destroy('evicted for a newer connection')
    return true
  }
}

function isFull(limit: number, count: number): boolean {
  return limit > 0 && count >= limit
}
