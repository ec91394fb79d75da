/** An operation that a client was told succeeded. Times are of one clock. */
export interface Acknowledged {
  readonly username: string
  readonly name: string
  readonly began: number
  readonly acknowledged: number
}

/** What a notifier was told. */
export interface Told {
  readonly id: string
  readonly username: string
  readonly name: string
  readonly status: number
}

/** The promise, held against what clients, notifier and disk say: the first thing that does not hold. */
export function problemOf(
  ledger: readonly Acknowledged[],
  told: readonly Told[],
  /** Every name on the disk, and whether all of its bytes are there. */
  files: ReadonlyMap<string, boolean>,
): string | undefined {
  const first = new Map<string, number>()
  const ids = new Map<string, string>()
  for (const [index, { id, name, status }] of told.entries()) {
    if (status !== 1) continue
    if (!first.has(name)) first.set(name, index)
    if ((ids.get(name) ?? id) !== id) return `"${name}" was told under two ids`
    ids.set(name, id)
  }
  for (const { name } of ledger) if (!first.has(name)) return `"${name}" was acknowledged but never told`
  for (const [name, complete] of files) {
    if (!complete) return `"${name}" is not complete`
    if (!first.has(name)) return `"${name}" is there but was never told`
  }
  for (const name of first.keys()) if (!files.has(name)) return `"${name}" was told but is not there`
  return orderProblem(ledger, first)
}

/** If A was acknowledged before B of the same user began, A is told first. */
function orderProblem(
  ledger: readonly Acknowledged[],
  first: ReadonlyMap<string, number>,
): string | undefined {
  for (const mine of byUser(ledger).values()) {
    const inOrder = [...mine].sort((a, b) => (first.get(a.name) ?? 0) - (first.get(b.name) ?? 0))
    let latest: Acknowledged | undefined
    for (const one of inOrder) {
      if (latest !== undefined && one.acknowledged < latest.began)
        return `"${latest.name}" was told before "${one.name}"`
      if (latest === undefined || one.began > latest.began) latest = one
    }
  }
  return undefined
}

function byUser(ledger: readonly Acknowledged[]): Map<string, Acknowledged[]> {
  const users = new Map<string, Acknowledged[]>()
  for (const one of ledger) {
    const mine = users.get(one.username)
    if (mine === undefined) users.set(one.username, [one])
    else mine.push(one)
  }
  return users
}
