import type { ConnectionLimits, Counted, Crowd, Full } from './crowd.ts'

/** The connections that one server has taken in, each with its place in the crowd. */
export class ConnectionRegistry<C extends Counted> {
  readonly #limits: ConnectionLimits
  readonly #crowd: Crowd
  readonly #own = new Set<C>()

  constructor(limits: ConnectionLimits, crowd: Crowd) {
    this.#limits = limits
    this.#crowd = crowd
  }

  get size(): number {
    return this.#own.size
  }

  connections(): IterableIterator<C> {
    return this.#own.values()
  }

  /** Takes a connection in, or says why not. */
  enter(connection: C): Full | undefined {
    const full = this.#crowd.enter(connection, this.#limits)
    if (full === undefined) this.#own.add(connection)
    return full
  }

  /** It is logged in. */
  promote(connection: C): void {
    this.#crowd.promote(connection)
  }

  leave(connection: C): void {
    this.#own.delete(connection)
    this.#crowd.leave(connection)
  }

  /** Takes one of the user's sessions; undefined when there is none left. */
  enterSession(username: string, most: number): (() => void) | undefined {
    return this.#crowd.enterSession(username, most)
  }
}
