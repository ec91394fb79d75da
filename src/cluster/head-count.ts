import type { Principal } from '../accounts/principal.ts'
import type { Full } from '../ssh/connection-registry.ts'

/** How many there may be in all; 0: no limit. */
export interface HeadLimits {
  readonly total: number
  readonly perAddress: number
}

/** One connection of any worker. */
interface Head {
  readonly id: string
  readonly worker: number
  readonly address: string
  principal: Principal | undefined
  sessions: number
}

/** Who is connected, in all workers together. Whatever is decided here is decided for one after the other. */
export interface HeadCount {
  /** Takes a connection in, or says why not. Where there are too many, the oldest stranger has to go. */
  enter(worker: number, id: string, address: string): Full | undefined
  left(worker: number, id: string): void
  isHere(worker: number, id: string): boolean
  granted(worker: number, id: string, principal: Principal): void
  /** Takes one of the user's sessions; undefined when there is none left. */
  enterSession(worker: number, id: string): Principal | undefined
  leaveSession(worker: number, id: string): void
  sessionsOf(username: string): number
  usernames(): ReadonlySet<string>
  /** The connections of a user, or the one with this id, by worker. */
  find(
    which: { readonly username: string } | { readonly connection: string },
  ): ReadonlyMap<number, readonly string[]>
  counts(): HeadCounts
  countsOf(worker: number): HeadCounts
  /** Nobody of this worker is there any more. */
  forget(worker: number): void
}

/** How many there are. */
export interface HeadCounts {
  readonly connections: number
  readonly halfOpen: number
  readonly sessions: number
}

/** Creates the count; `evict` ends a connection of a worker. */
export function createHeadCount(
  limits: () => HeadLimits,
  evict: (worker: number, id: string) => void,
): HeadCount {
  // In the order of arrival: the first stranger found is the oldest.
  const heads = new Map<string, Head>()
  const byAddress = new Map<string, Set<Head>>()
  const sessions = new Map<string, number>()

  const headOf = (worker: number, id: string): Head | undefined => {
    const head = heads.get(id)
    return head?.worker === worker ? head : undefined
  }
  const remove = (head: Head): void => {
    heads.delete(head.id)
    const here = byAddress.get(head.address)
    here?.delete(head)
    if (here?.size === 0) byAddress.delete(head.address)
    while (head.sessions > 0) leaveSession(head)
  }
  const leaveSession = (head: Head): void => {
    if (head.sessions === 0 || head.principal === undefined) return
    head.sessions -= 1
    const { username } = head.principal.user
    const now = (sessions.get(username) ?? 0) - 1
    if (now > 0) sessions.set(username, now)
    else sessions.delete(username)
  }
  const makeRoom = (most: number, among: Iterable<Head>, count: number): boolean => {
    if (most <= 0 || count < most) return true
    for (const head of among) {
      if (head.principal !== undefined) continue
      remove(head)
      evict(head.worker, head.id)
      return true
    }
    return false
  }
  const countsAmong = (some: Iterable<Head>): HeadCounts => {
    const sum = { connections: 0, halfOpen: 0, sessions: 0 }
    for (const head of some) {
      sum.connections += 1
      sum.sessions += head.sessions
      if (head.principal === undefined) sum.halfOpen += 1
    }
    return sum
  }
  return {
    enter(worker, id, address) {
      const known = heads.get(id)
      if (known !== undefined) remove(known)
      const { total, perAddress } = limits()
      const here = byAddress.get(address) ?? new Set()
      if (!makeRoom(perAddress, here, here.size))
        return { refused: 'too many connections from this address', by: 'limit-address' }
      if (!makeRoom(total, heads.values(), heads.size))
        return { refused: 'too many connections', by: 'limit-total' }
      const head: Head = { id, worker, address, principal: undefined, sessions: 0 }
      heads.set(id, head)
      byAddress.set(address, (byAddress.get(address) ?? new Set()).add(head))
      return undefined
    },
    left(worker, id) {
      const head = headOf(worker, id)
      if (head !== undefined) remove(head)
    },
    isHere: (worker, id) => headOf(worker, id) !== undefined,
    granted(worker, id, principal) {
      const head = headOf(worker, id)
      if (head !== undefined) head.principal = principal
    },
    enterSession(worker, id) {
      const head = headOf(worker, id)
      if (head?.principal === undefined) return undefined
      const { username, max_sessions: most } = head.principal.user
      const open = sessions.get(username) ?? 0
      if (most > 0 && open >= most) return undefined
      sessions.set(username, open + 1)
      head.sessions += 1
      return head.principal
    },
    leaveSession(worker, id) {
      const head = headOf(worker, id)
      if (head !== undefined) leaveSession(head)
    },
    sessionsOf: (username) => sessions.get(username) ?? 0,
    usernames() {
      const names = new Set<string>()
      for (const { principal } of heads.values())
        if (principal !== undefined) names.add(principal.user.username)
      return names
    },
    find(which) {
      const found = new Map<number, string[]>()
      for (const { id, worker, principal } of heads.values()) {
        const meant =
          'connection' in which ? id === which.connection : principal?.user.username === which.username
        if (meant) found.set(worker, [...(found.get(worker) ?? []), id])
      }
      return found
    },
    counts: () => countsAmong(heads.values()),
    countsOf: (worker) => countsAmong([...heads.values()].filter((head) => head.worker === worker)),
    forget(worker) {
      for (const head of [...heads.values()]) if (head.worker === worker) remove(head)
    },
  }
}
