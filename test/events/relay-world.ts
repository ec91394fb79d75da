import { silentLogger } from '../../src/base/log.ts'
import { silentMeter } from '../../src/base/meter.ts'
import type { OwedRow } from '../../src/events/outbox.ts'
import { Relay } from '../../src/events/relay.ts'
import type { RelayStore, RelayTarget, TellFailure } from '../../src/events/telling.ts'
import { manualClock, type ManualClock } from '../helpers/manual-clock.ts'

/** What a schedule showed. `problem` is undefined when every promise held. */
export interface ScheduleResult {
  readonly problem: string | undefined
  readonly committed: number
  readonly told: number
  readonly parked: number
  readonly crashes: number
  /** Tellings of more than one event. */
  readonly together: number
}

/** A small generator with a seed (mulberry32): the same seed is the same schedule. */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const maxAttempts = 4

/** The database and one notifier, both outside the server: they stay when it crashes. */
interface World {
  readonly owed: Map<string, OwedRow[]>
  readonly told: OwedRow[]
  readonly parked: Map<number, number>
  readonly failures: Map<number, number>
  /** Events that were told, but whose answer, or whose note, may have been lost. */
  excuses: number
  together: number
}

/**
 * Runs one random schedule: users commit events while the notifier is slow, refuses, dies, loses answers, and while
 * the server is killed and started again. Then everything heals, and the promises are looked at.
 */
export async function runSchedule(seed: number, steps = 24): Promise<ScheduleResult> {
  const random = seeded(seed)
  const pick = (most: number): number => Math.floor(random() * most)
  const clock = manualClock()
  const world: World = {
    owed: new Map(),
    told: [],
    parked: new Map(),
    failures: new Map(),
    excuses: 0,
    together: 0,
  }
  const users = ['u/a', 'u/b', 'u/c'].slice(0, 1 + pick(3))
  const poison = random() < 0.2
  let seq = 0
  let crashes = 0
  let healthy = false
  let life = startLife()
  const problems: string[] = []

  for (let step = 0; step < steps && problems.length === 0; step += 1) {
    const dice = random()
    if (dice < 0.45) commit()
    else if (dice < 0.8) clock.advance(pick(400))
    else if (dice < 0.88) life.toggle()
    else if (dice < 0.92) crash()
    else if (dice < 0.94) life.relay.rescan()
    else clock.next()
    await settle()
  }
  healthy = true
  life.heal()
  // While several users fail and nothing gets through, an event is tried forty times, a minute apart in the end.
  for (let turn = 0; turn < 5_000 && pending() > 0 && problems.length === 0; turn += 1) {
    await settle()
    clock.next()
  }
  await settle()
  const problem = problems[0] ?? judge()
  const { told, parked, together } = world
  return { problem, committed: seq, told: told.length, parked: parked.size, crashes, together }

  function pending(): number {
    let rows = 0
    for (const stream of world.owed.values()) rows += stream.length
    return rows
  }

  function commit(): void {
    const stream = users[pick(users.length)] ?? 'u/a'
    seq += 1
    const row = { seq, id: `e${seq}`, stream, createdMs: clock.now(), payload: '', attempts: 0 }
    const rows = world.owed.get(stream)
    if (rows === undefined) world.owed.set(stream, [row])
    else rows.push(row)
    // The server may die between the commit and the moment it hears of it; a rescan finds the event all the same.
    if (random() < 0.95) life.relay.arrived(row)
    else crash()
    // A user who does much at once.
    if (random() < 0.3) commit()
  }

  function crash(): void {
    crashes += 1
    life.kill()
    life = startLife()
    if (healthy) life.heal()
  }

  function startLife(): Life {
    return createLife({
      clock,
      random,
      world,
      poison: (row) => poison && row.seq % 5 === 2,
      fail: (text) => problems.push(text),
    })
  }

  /** What of the promises does not hold, once everything had time to heal. */
  function judge(): string | undefined {
    if (pending() > 0) return `${pending()} events are still owed`
    const count = new Map<number, number>()
    const lastOf = new Map<string, number>()
    for (const { seq: told, stream } of world.told) {
      const isNew = !count.has(told)
      count.set(told, (count.get(told) ?? 0) + 1)
      const last = lastOf.get(stream) ?? 0
      // What is told again begins with the oldest whose note was lost.
      if (isNew && told < last) return `event ${told} of "${stream}" was told after ${last}`
      lastOf.set(stream, Math.max(last, told))
    }
    for (let one = 1; one <= seq; one += 1) {
      const attempts = world.parked.get(one)
      if (!count.has(one) && attempts === undefined) return `event ${one} was never told`
      if (attempts !== undefined && attempts < maxAttempts)
        return `event ${one} was parked after ${attempts} tries`
    }
    const repeated = world.told.length - count.size
    if (repeated > world.excuses) return `${repeated} repetitions for ${world.excuses} lost answers`
    return undefined
  }
}

/** Lets every promise that can go on go on. Deep enough for the longest chain of the relay. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
}

/** One life of the server. */
interface Life {
  readonly relay: Relay
  toggle(): void
  heal(): void
  kill(): void
}

interface LifeOptions {
  readonly clock: ManualClock
  readonly random: () => number
  readonly world: World
  readonly poison: (row: OwedRow) => boolean
  readonly fail: (text: string) => unknown
}

function createLife({ clock, random, world, poison, fail }: LifeOptions): Life {
  let dead = false
  let ready = random() < 0.8
  let healed = false
  const keepsOrder = random() < 0.7
  /** How many events of each stream are being told, or are told and not noted yet. */
  const underway = new Map<string, number>()
  /** What this life has begun: at its death each of these takes effect or never does. */
  const begun = new Set<() => void>()
  const begin = (ms: number, effect: () => void, heard: () => void): void => {
    begun.add(effect)
    clock.after(ms, () => {
      if (dead || !begun.delete(effect)) return
      effect()
      heard()
    })
  }
  const inDatabase = (action: () => void): Promise<void> =>
    new Promise((resolve, reject) => {
      const locked = !healed && random() < 0.1
      begin(
        healed ? 1 : random() * 20,
        locked ? () => {} : action,
        locked ? () => reject(new Error('locked')) : resolve,
      )
    })
  const remove = ({ stream, seq }: OwedRow): boolean => {
    const rows = world.owed.get(stream) ?? []
    const left = rows.filter((row) => row.seq !== seq)
    world.owed.set(stream, left)
    return left.length < rows.length
  }
  const store: RelayStore = {
    page: (_notifier, stream, most) => (world.owed.get(stream) ?? []).slice(0, most),
    streamsAfter: (_notifier, after, most) =>
      [...world.owed]
        .filter(([stream, rows]) => stream > after && rows.length > 0)
        .map(([stream]) => stream)
        .sort()
        .slice(0, most),
    waiting: () => 0,
    acknowledge: (_notifier, row) =>
      inDatabase(() => {
        remove(row)
        noted(row.stream)
      }),
    park: (_notifier, row, attempts) =>
      inDatabase(() => {
        if (remove(row)) world.parked.set(row.seq, attempts)
      }),
    async failed(_notifier, row, attempts) {
      const rows = world.owed.get(row.stream) ?? []
      world.owed.set(
        row.stream,
        rows.map((one) => (one.seq === row.seq ? { ...one, attempts } : one)),
      )
    },
  }
  const target: RelayTarget = {
    name: 'n',
    atOnce: 2,
    maxAttempts,
    isReady: () => ready,
    mostTogether: () => (keepsOrder ? 3 : 1),
    tell(rows) {
      if (dead) return new Promise(() => {})
      const stream = rows[0]?.stream ?? ''
      if (rows.length > 1 && !keepsOrder) fail(`${rows.length} events at once for who keeps no order`)
      if (rows.some((row, index) => row.stream !== stream || row.seq <= (rows[index - 1]?.seq ?? 0)))
        fail(`not events of one stream in order: ${rows.map(({ id }) => id).join(', ')}`)
      if (rows.length > 1) world.together += 1
      if (underway.has(stream)) fail(`two tellings of "${stream}" are under way`)
      underway.set(stream, rows.length)
      return new Promise((resolve) => {
        const failures = rows.map(failureOf)
        const failed = failures.findIndex((failure) => failure !== undefined)
        const told = failed === -1 ? rows.length : failed
        const failure = failures[told]
        // One whose answer was lost was taken, and so were those behind it, up to one that was not.
        const stop = failures.findIndex((one) => one !== undefined && one.reason !== 'lost')
        const taken = rows.slice(0, stop === -1 ? rows.length : stop)
        const effect = (): void => {
          world.told.push(...taken)
          world.excuses += taken.length - (dead ? 0 : told)
        }
        // Quick often enough that many go together.
        begin(healed ? 2 : random() < 0.5 ? random() * 9 : random() * 300, effect, () => {
          if (told === 0) underway.delete(stream)
          else underway.set(stream, told)
          resolve(failure === undefined ? { told } : { told, failure })
        })
      })
    },
  }
  // So little memory that most events are read back from the database.
  const relay = new Relay({
    ...{ target, store, clock, random, log: silentLogger, meter: silentMeter },
    rowsPerStream: 2,
  })
  relay.start()
  return {
    relay,
    toggle() {
      ready = !ready
      if (ready) relay.ready()
    },
    heal() {
      healed = true
      ready = true
      relay.ready()
    },
    kill() {
      dead = true
      // What it had told without noting it is told again.
      for (const events of underway.values()) world.excuses += events
      for (const effect of begun) if (random() < 0.5) effect()
      void relay.close(AbortSignal.abort())
    },
  }

  function noted(stream: string): void {
    const left = (underway.get(stream) ?? 0) - 1
    if (left > 0) underway.set(stream, left)
    else underway.delete(stream)
  }

  function failureOf(row: OwedRow): TellFailure | undefined {
    if (poison(row)) return { unavailable: false, counts: true, reason: 'poison' }
    const dice = healed ? 0 : random()
    if (dice < 0.6) return undefined
    if (dice < 0.75) return { unavailable: false, counts: true, reason: 'lost' }
    if (dice < 0.85) return { unavailable: false, counts: true, reason: 'refused' }
    if (dice < 0.93) return { unavailable: true, counts: true, reason: 'exited' }
    return { unavailable: true, counts: false, reason: 'not ready' }
  }
}
