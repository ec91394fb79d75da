import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Database } from '../database/open-database.ts'
import type { Step } from '../database/writer.ts'

/** What an address can be scored for, in SFTPGo's classes. */
export type Offence = 'invalid' | 'valid' | 'limit-exceeded' | 'no-auth'

/** Scores addresses that misbehave and bans them for a while; kept in the database, so that a restart forgives nobody. */
export interface Defender {
  /** Until when the address is banned (milliseconds since 1970), or undefined. A visit during a ban makes it longer. */
  bannedUntil(address: string): number | undefined
  /** Whether the address is banned, without counting this as a visit. */
  isBanned(address: string): boolean
  /** Adds an offence; true when it made the ban. */
  score(address: string, offence: Offence): boolean
  /** Addresses that are banned or have a score. */
  hosts(): readonly DefendedHost[]
  /** Ends the ban and forgets the score. Whether there was any. */
  forgive(address: string): Promise<boolean>
  /** Bans an address by hand. */
  ban(address: string, forMs: number): Promise<void>
  /** Writes down what is not yet. */
  close(): Promise<void>
  /** Scores by other settings from now on; what is known of addresses stays. */
  configure(next: Omit<DefenderOptions, 'isSafe'>): void
}

/** An address with its score and ban. */
export interface DefendedHost {
  readonly address: string
  readonly score: number
  readonly bannedUntil?: number
}

/** SFTPGo's settings of the defender; times in milliseconds. */
export interface DefenderOptions {
  readonly scores: Readonly<Record<Offence, number>>
  readonly threshold: number
  readonly observationMs: number
  readonly banMs: number
  /** Percent by which a ban grows at each visit during it. */
  readonly banIncrement: number
  /** How many addresses are remembered at most. */
  readonly mostHosts: number
  /** Never scored, never banned. */
  readonly isSafe: (address: string) => boolean
}

/** SFTPGo's defaults. */
export const defenderDefaults = {
  scores: { invalid: 2, valid: 1, 'limit-exceeded': 3, 'no-auth': 0 },
  threshold: 15,
  observationMs: 30 * 60_000,
  banMs: 30 * 60_000,
  banIncrement: 50,
  mostHosts: 10_000,
} as const

interface Host {
  events: { readonly score: number; readonly at: number }[]
  bannedUntil: number
  banCount: number
  seen: number
}

/** Bans that grow are written down together after this time; a crash forgives what was added in between. */
const growthWrittenMs = 1_000

const nobodyYet = (): Host => ({ events: [], bannedUntil: 0, banCount: 0, seen: 0 })

/** Creates the defender with what the database remembers. Decisions are made in memory; the database follows. */
export function createDefender(
  fromSettings: DefenderOptions,
  { database, clock, log }: { readonly database: Database; readonly clock: Clock; readonly log: Logger },
): Defender {
  let options = fromSettings
  const hosts = load(database, clock.now() - options.observationMs)
  const grown = new Set<string>()
  let cancel: (() => void) | undefined

  const store = (...steps: Step[]): Promise<unknown> =>
    database.writer.write(steps, { durable: false }).catch(() => {
      log.warn('defender could not write', {})
    })
  const storeHost = (address: string, host: Host): Step => ({
    sql: `insert into defender_host (address, banned_until_ms, ban_count, seen_ms) values (?, ?, ?, ?)
          on conflict (address) do update set banned_until_ms = excluded.banned_until_ms,
          ban_count = excluded.ban_count, seen_ms = excluded.seen_ms`,
    values: [address, host.bannedUntil, host.banCount, host.seen],
  })
  const writeGrown = async (): Promise<void> => {
    cancel?.()
    cancel = undefined
    const steps = [...grown].flatMap((address) => {
      const host = hosts.get(address)
      return host === undefined ? [] : [storeHost(address, host)]
    })
    grown.clear()
    if (steps.length > 0) await store(...steps)
  }
  const forgetSteps = (address: string): Step[] => [
    { sql: 'delete from defender_event where address = ?', values: [address] },
    { sql: 'delete from defender_host where address = ?', values: [address] },
  ]
  const scoreOf = (host: Host, now: number): number => {
    host.events = host.events.filter(({ at }) => at > now - options.observationMs)
    return host.events.reduce((sum, { score }) => sum + score, 0)
  }
  const hostAt = (address: string, now: number): Host => {
    const known = hosts.get(address) ?? { ...nobodyYet(), seen: now }
    // To the end: the address seen longest ago is forgotten first.
    hosts.delete(address)
    hosts.set(address, known)
    known.seen = now
    return known
  }
  const forgetOld = (now: number): void => {
    if (hosts.size <= options.mostHosts) return
    const harmless = [...hosts]
      .filter(([, host]) => host.bannedUntil <= now)
      .slice(0, Math.ceil(options.mostHosts / 10))
    // Bans go last: a flood from many addresses must not be a way out of one.
    const victims = harmless.length > 0 ? harmless : [...hosts].slice(0, 1)
    for (const [address] of victims) {
      hosts.delete(address)
      void store(...forgetSteps(address))
    }
  }
  return {
    bannedUntil(address) {
      const now = clock.now()
      const host = hosts.get(address)
      if (host === undefined || host.bannedUntil <= now || options.isSafe(address)) return undefined
      host.banCount += 1
      host.bannedUntil += Math.round((options.banMs * options.banIncrement) / 100)
      // Whoever knocks a thousand times a second is not worth a thousand writes.
      grown.add(address)
      cancel ??= clock.after(growthWrittenMs, () => void writeGrown())
      return host.bannedUntil
    },
    isBanned: (address) => (hosts.get(address)?.bannedUntil ?? 0) > clock.now() && !options.isSafe(address),
    score(address, offence) {
      const points = options.scores[offence]
      if (points <= 0 || options.isSafe(address)) return false
      const now = clock.now()
      const host = hostAt(address, now)
      host.events.push({ score: points, at: now })
      const banned = scoreOf(host, now) >= options.threshold
      if (banned) {
        host.events = []
        host.banCount += 1
        // Never shorter than a ban that holds already: what was under way when it came scores afterwards.
        host.bannedUntil = Math.max(host.bannedUntil, now + options.banMs)
        log.warn('address banned', { address, until: new Date(host.bannedUntil).toISOString() })
        void store(
          { sql: 'delete from defender_event where address = ?', values: [address] },
          storeHost(address, host),
        )
      } else {
        void store(
          {
            sql: 'insert into defender_event (address, score, at_ms) values (?, ?, ?)',
            values: [address, points, now],
          },
          // What counts no more goes as new scores come, or a year of single failures would fill the table.
          {
            sql: 'delete from defender_event where address = ? and at_ms <= ?',
            values: [address, now - options.observationMs],
          },
        )
      }
      forgetOld(now)
      return banned
    },
    hosts() {
      const now = clock.now()
      return [...hosts].flatMap(([address, host]) => {
        const score = scoreOf(host, now)
        if (host.bannedUntil > now) return [{ address, score, bannedUntil: host.bannedUntil }]
        return score > 0 ? [{ address, score }] : []
      })
    },
    async forgive(address) {
      const known = hosts.delete(address)
      await database.writer.write(forgetSteps(address))
      return known
    },
    async ban(address, forMs) {
      const now = clock.now()
      const host = hostAt(address, now)
      host.bannedUntil = now + forMs
      await database.writer.write([storeHost(address, host)])
    },
    close: writeGrown,
    configure(next) {
      options = { ...next, isSafe: options.isSafe }
    },
  }
}

/** Scores nobody. */
export const noDefender: Defender = {
  bannedUntil: () => undefined,
  isBanned: () => false,
  score: () => false,
  hosts: () => [],
  forgive: async () => false,
  async ban() {},
  async close() {},
  configure() {},
}

function load(database: Database, since: number): Map<string, Host> {
  interface HostRow {
    readonly address: string
    readonly banned_until_ms: number
    readonly ban_count: number
    readonly seen_ms: number
  }
  const hosts = new Map<string, Host>()
  const rows = database.query<HostRow>(
    'select address, banned_until_ms, ban_count, seen_ms from defender_host',
  )
  for (const row of rows.all())
    hosts.set(row.address, {
      ...nobodyYet(),
      bannedUntil: row.banned_until_ms,
      banCount: row.ban_count,
      seen: row.seen_ms,
    })
  const events = database.query<{ readonly address: string; readonly score: number; readonly at_ms: number }>(
    'select address, score, at_ms from defender_event where at_ms > ? order by at_ms desc limit 100000',
  )
  for (const { address, score, at_ms: at } of events.all(since)) {
    const host = hosts.get(address) ?? { ...nobodyYet(), seen: at }
    host.events.push({ score, at })
    hosts.set(address, host)
  }
  void database.writer
    .write([{ sql: 'delete from defender_event where at_ms <= ?', values: [since] }], { durable: false })
    .catch(() => {
      // Old scores count for nothing; the next start removes them.
    })
  return hosts
}
