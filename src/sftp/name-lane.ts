import { isWithin, type VirtualPath } from '../base/virtual-path.ts'

/** A request for names: runs once nothing earlier touches the same names in a way that matters. */
export interface NameClaim {
  readonly order: number
  readonly paths: readonly VirtualPath[]
  readonly changes: boolean
  /** Begins it; `done` is called when its effect is complete. */
  readonly start: (done: () => void) => void
  /** Told when it will never begin. */
  readonly dropped?: () => void
}

/**
 * Lets requests for unrelated names run side by side, and those for related names in the order sent: a name is
 * related to itself, to what holds it and to what it holds.
 */
export class NameLane {
  readonly #claims: { readonly claim: NameClaim; started: boolean }[] = []
  readonly #most: number
  readonly #openChange: (claim: NameClaim) => boolean
  #running = 0

  /** `openChange` tells whether an open file has an earlier change under way that the claim must wait for. */
  constructor(most: number, openChange: (claim: NameClaim) => boolean) {
    this.#most = most
    this.#openChange = openChange
  }

  /** Whether more requests may come: those that wait are few. */
  get crowded(): boolean {
    return this.#claims.length >= 2 * this.#most
  }

  add(claim: NameClaim): void {
    const entry = { claim, started: false }
    this.#claims.push(entry)
    this.#startWhatMay()
  }

  /** Looks again: something that claims wait for is over. */
  pump(): void {
    if (this.#claims.length > 0) this.#startWhatMay()
  }

  clear(): void {
    const waiting = this.#claims.filter(({ started }) => !started)
    this.#claims.length = 0
    for (const { claim } of waiting) claim.dropped?.()
  }

  #startWhatMay(): void {
    for (const entry of [...this.#claims]) {
      if (this.#running >= this.#most) return
      if (entry.started || this.#mustWait(entry.claim)) continue
      entry.started = true
      this.#running += 1
      entry.claim.start(() => {
        this.#running -= 1
        const at = this.#claims.indexOf(entry)
        if (at >= 0) this.#claims.splice(at, 1)
        this.pump()
      })
    }
  }

  #mustWait(claim: NameClaim): boolean {
    for (const { claim: earlier } of this.#claims) {
      if (earlier.order >= claim.order) continue
      if ((earlier.changes || claim.changes) && meet(earlier.paths, claim.paths)) return true
    }
    return this.#openChange(claim)
  }
}

/** Whether one of the names is, holds or lies in one of the others. */
export function meet(some: readonly VirtualPath[], others: readonly VirtualPath[]): boolean {
  return some.some((one) => others.some((other) => isWithin(one, other) || isWithin(other, one)))
}
