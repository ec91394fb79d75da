/** Something that was opened and has to be closed. */
export interface Closable {
  close(): Promise<void> | void
}

/** Owns what was opened, and closes it newest first. */
export class Scope implements AsyncDisposable {
  #owned: Closable[] = []

  /** Takes charge of `thing` and gives it back. */
  own<T extends Closable>(thing: T): T {
    this.#owned.push(thing)
    return thing
  }

  /** Runs `action` when the scope closes. */
  defer(action: () => Promise<void> | void): void {
    this.#owned.push({ close: action })
  }

  /** Closes everything, newest first; one failure does not keep the rest open. The first failure is thrown at the end. */
  async close(): Promise<void> {
    const failures: unknown[] = []
    for (let thing = this.#owned.pop(); thing !== undefined; thing = this.#owned.pop()) {
      try {
        await thing.close()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
