import type { Principal } from '../accounts/principal.ts'
import { type Counted, Crowd, type Full } from '../ssh/crowd.ts'

/** How many there may be in all; 0: no limit. */
export interface HeadLimits {
  readonly total: number
  readonly perAddress: number
}

/** One connection of any worker. */
interface Head extends Counted {
  readonly id: string
  readonly worker: number
  principal: Principal | undefined
  /** Gives back the place of a session, for each that is open. */
  readonly sessions: (() => void)[]
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
  const crowd = new Crowd()
  const heads = new Map<string, Head>()

  const headOf = (worker: number, id: string): Head | undefined => {
    const head = heads.get(id)
    return head?.worker === worker ? head : undefined
  }
  const remove = (head: Head): void => {
    heads.delete(head.id)
    crowd.leave(head)
    while (head.sessions.length > 0) head.sessions.pop()?.()
  }
  const countsAmong = (some: Iterable<Head>): HeadCounts => {
    const sum = { connections: 0, halfOpen: 0, sessions: 0 }
    for (const head of some) {
      sum.connections += 1
      sum.sessions += head.sessions.length
      if (head.principal === undefined) sum.halfOpen += 1
    }
    return sum
  }
  return {
    enter(worker, id, address) {
      const known = heads.get(id)
      if (known !== undefined) remove(known)
      const head: Head = {
        ...{ id, worker, address, principal: undefined, sessions: [] },
        // How far its key exchange got is known to the worker alone: the oldest stranger has to go.
        progress: 0,
        destroy() {
          heads.delete(id)
          evict(worker, id)
        },
      }
      // Who is not logged in is bounded by each worker.
      const full = crowd.enter(head, { ...limits(), halfOpen: 0, halfOpenPerAddress: 0 })
      if (full === undefined) heads.set(id, head)
      return full
    },
    left(worker, id) {
      const head = headOf(worker, id)
      if (head !== undefined) remove(head)
    },
    isHere: (worker, id) => headOf(worker, id) !== undefined,
    granted(worker, id, principal) {
      const head = headOf(worker, id)
      if (head === undefined) return
      head.principal = principal
      crowd.promote(head)
    },
    enterSession(worker, id) {
      const head = headOf(worker, id)
      if (head?.principal === undefined) return undefined
      const { username, max_sessions: most } = head.principal.user
      const leave = crowd.enterSession(username, most)
      if (leave === undefined) return undefined
      head.sessions.push(leave)
      return head.principal
    },
    leaveSession: (worker, id) => headOf(worker, id)?.sessions.pop()?.(),
    sessionsOf: (username) => crowd.sessionsOf(username),
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
