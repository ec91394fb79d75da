/**
 * An operation that a client was told succeeded, in the words of its event: action, path, target and size, with a blank
 * between. Every one is different. Times are of one clock.
 */
export interface Acknowledged {
  readonly username: string
  readonly key: string
  readonly began: number
  readonly acknowledged: number
}

/** What a notifier was told, in the same words. */
export interface Told {
  readonly id: string
  readonly username: string
  readonly key: string
  readonly status: number
}

/** What lies on the disk: `user/path`, with the size of a file, undefined for a directory. */
export type Disk = ReadonlyMap<string, number | undefined>

/** The promise, held against what clients, notifier and disk say: the first thing that does not hold. */
export function problemOf(
  ledger: readonly Acknowledged[],
  told: readonly Told[],
  disk: Disk,
): string | undefined {
  const first = new Map<string, number>()
  const ids = new Map<string, string>()
  const happened: Told[] = []
  for (const [index, one] of told.entries()) {
    if (one.status !== 1) continue
    const key = keyOf(one)
    if ((ids.get(key) ?? one.id) !== one.id) return `"${key}" was told under two ids`
    ids.set(key, one.id)
    if (first.has(key)) continue
    first.set(key, index)
    happened.push(one)
  }
  const untold = ledger.find((one) => !first.has(keyOf(one)))
  if (untold !== undefined) return `"${keyOf(untold)}" was acknowledged but never told`
  return orderProblem(ledger, first) ?? diskProblem(happened, disk)
}

/** If A was acknowledged before B of the same user began, A is told first. */
function orderProblem(
  ledger: readonly Acknowledged[],
  first: ReadonlyMap<string, number>,
): string | undefined {
  for (const mine of byUser(ledger).values()) {
    const inOrder = mine.toSorted((a, b) => (first.get(keyOf(a)) ?? 0) - (first.get(keyOf(b)) ?? 0))
    let latest: Acknowledged | undefined
    for (const one of inOrder) {
      if (latest !== undefined && one.acknowledged < latest.began)
        return `"${keyOf(latest)}" was told before "${keyOf(one)}"`
      if (latest === undefined || one.began > latest.began) latest = one
    }
  }
  return undefined
}

/** What was told, done again in the order in which it was told, gives exactly what is there: no more, no less. */
function diskProblem(happened: readonly Told[], disk: Disk): string | undefined {
  // By first name, so that a directory goes to its new name in one step: a long run has a hundred thousand.
  const model = new Map<string, Map<string, number | undefined>>()
  for (const one of happened) {
    const [action = '', path = '', target = '', size = ''] = one.key.split(' ')
    const [top, rest] = splitName(`${one.username}${path}`)
    const entries = model.get(top) ?? new Map<string, number | undefined>()
    if (action === 'upload' || action === 'mkdir') {
      entries.set(rest, action === 'mkdir' ? undefined : Number(size))
      model.set(top, entries)
    } else if (!entries.has(rest)) {
      return `"${keyOf(one)}" was told, but nothing told before made that name`
    } else if (action === 'copy') {
      model.set(`${one.username}${target}`, new Map([['', Number(size)]]))
    } else if (action === 'rename') {
      model.delete(top)
      model.set(`${one.username}${target}`, entries)
    } else if (action === 'delete' || action === 'rmdir') {
      model.delete(top)
    }
  }
  const told = new Map(
    [...model].flatMap(([top, entries]) => [...entries].map(([rest, size]) => [top + rest, size] as const)),
  )
  for (const [name, size] of disk) {
    if (!told.has(name)) return `"${name}" is there but was never told`
    if (told.get(name) !== size) return `"${name}" has ${size} bytes, told were ${told.get(name)}`
  }
  for (const name of told.keys()) if (!disk.has(name)) return `"${name}" was told but is not there`
  return undefined
}

/** `user/first` and what follows. */
function splitName(name: string): [string, string] {
  const end = name.indexOf('/', name.indexOf('/') + 1)
  return end === -1 ? [name, ''] : [name.slice(0, end), name.slice(end)]
}

function keyOf({ username, key }: { readonly username: string; readonly key: string }): string {
  return `${username} ${key}`
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
