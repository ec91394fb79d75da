import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createAddressLists } from '../../src/accounts/address-lists.ts'
import {
  createAdmission,
  type Admission,
  type AdmissionOptions,
  type ConfiguredFilter,
} from '../../src/accounts/admission.ts'
import {
  createDefender,
  defenderDefaults,
  noDefender,
  type Defender,
  type DefenderOptions,
} from '../../src/accounts/defender.ts'
import { createIpSet, parseNetwork, plainAddress } from '../../src/accounts/ip-set.ts'
import { createRateLimiter } from '../../src/accounts/rate-limiter.ts'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/log.ts'
import { silentMeter } from '../../src/base/meter.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import { emptyDatabase, openRig, principalOf } from './login-rig.ts'

let database: Database
beforeAll(async () => {
  database = await openDatabase({ durable: false })
})
afterAll(() => database.close())
beforeEach(() => emptyDatabase(database))

const minute = 60_000

/** A clock that stands still until it is moved. */
function standingClock(): Clock & { move(ms: number): void } {
  let now = 1_000_000_000_000
  return {
    now: () => now,
    monotonic: () => now,
    after: (ms, action) => systemClock.after(ms, action),
    move(ms) {
      now += ms
    },
  }
}

describe('sets of networks', () => {
  it('know addresses of both families, also mapped ones', () => {
    const set = createIpSet(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32'])
    const inside = ['10.255.0.1', '::ffff:10.1.2.3', '192.0.2.7', '2001:db8::1']
    const outside = ['11.0.0.1', '192.0.2.8', '2001:db9::1', 'not an address', '']
    expect(inside.filter((one) => !set.has(one))).toEqual([])
    expect(outside.filter((one) => set.has(one))).toEqual([])
    expect(plainAddress('::ffff:1.2.3.4')).toBe('1.2.3.4')
  })

  it('refuse what is no network (row 31)', () => {
    for (const wrong of [
      '10.0.0.0/33',
      '10.0.0',
      '::1/129',
      '10.0.0.0/',
      '10.0.0.0/-1',
      'x/8',
      'fe80::1%eth0',
      '',
    ])
      expect(parseNetwork(wrong), wrong).toBeUndefined()
    expect(() => createIpSet(['10.0.0.0/99'])).toThrow(RangeError)
  })
})

describe('the defender (row 56)', () => {
  const open = (clock: Clock, change: Partial<DefenderOptions> = {}): Defender =>
    createDefender(
      { ...defenderDefaults, isSafe: () => false, ...change },
      { database, clock, log: silentLogger },
    )

  it('bans at the threshold, for the time of a ban, and hits only the offender', () => {
    const clock = standingClock()
    const defender = open(clock)
    for (let n = 0; n < 7; n++) expect(defender.score('192.0.2.1', 'invalid')).toBe(false)
    expect(defender.score('192.0.2.1', 'valid')).toBe(true)
    expect(defender.bannedUntil('192.0.2.1')).toBeGreaterThan(clock.now())
    expect(defender.bannedUntil('192.0.2.2')).toBeUndefined()
    expect(defender.isBanned('192.0.2.2')).toBe(false)
  })

  it('forgets scores after the observation time', () => {
    const clock = standingClock()
    const defender = open(clock)
    for (let n = 0; n < 7; n++) defender.score('192.0.2.1', 'invalid')
    clock.move(31 * minute)
    expect(defender.score('192.0.2.1', 'invalid')).toBe(false)
    expect(defender.hosts()).toEqual([{ address: '192.0.2.1', score: 2 }])
  })

  it('makes a ban longer by half with each visit during it', () => {
    const clock = standingClock()
    const defender = open(clock)
    for (let n = 0; n < 8; n++) defender.score('192.0.2.1', 'invalid')
    expect(defender.bannedUntil('192.0.2.1')).toBe(clock.now() + 45 * minute)
    expect(defender.bannedUntil('192.0.2.1')).toBe(clock.now() + 60 * minute)
    expect(defender.isBanned('192.0.2.1')).toBe(true)
    clock.move(61 * minute)
    expect(defender.bannedUntil('192.0.2.1')).toBeUndefined()
  })

  it('remembers bans and scores through a restart', async () => {
    const clock = standingClock()
    const before = open(clock)
    for (let n = 0; n < 8; n++) before.score('192.0.2.1', 'invalid')
    for (let n = 0; n < 5; n++) before.score('192.0.2.2', 'valid')
    await before.ban('192.0.2.3', 60 * minute)
    const after = open(clock)
    expect(after.isBanned('192.0.2.1')).toBe(true)
    expect(after.isBanned('192.0.2.3')).toBe(true)
    expect(after.hosts().find(({ address }) => address === '192.0.2.2')).toEqual({
      address: '192.0.2.2',
      score: 5,
    })
    expect(await after.forgive('192.0.2.1')).toBe(true)
    expect(open(clock).isBanned('192.0.2.1')).toBe(false)
  })

  it('remembers what a ban grew by until the server stopped', async () => {
    const clock = standingClock()
    const before = open(clock)
    for (let n = 0; n < 8; n++) before.score('192.0.2.1', 'invalid')
    for (let n = 0; n < 5; n++) before.bannedUntil('192.0.2.1')
    await before.close()
    expect(open(clock).hosts()).toContainEqual({
      ...{ address: '192.0.2.1', score: 0 },
      bannedUntil: clock.now() + (30 + 5 * 15) * minute,
    })
  })

  it('makes no ban shorter: what was under way when a long one came scores afterwards', async () => {
    const clock = standingClock()
    const defender = open(clock)
    await defender.ban('192.0.2.1', 600 * minute)
    for (let n = 0; n < 8; n++) defender.score('192.0.2.1', 'invalid')
    clock.move(599 * minute)
    expect(defender.isBanned('192.0.2.1')).toBe(true)
  })

  it('keeps no scores in the database that count no more', async () => {
    const clock = standingClock()
    const defender = open(clock)
    for (let n = 0; n < 50; n++) {
      defender.score('192.0.2.1', 'valid')
      clock.move(20 * minute)
    }
    const rows = database.query<{ readonly n: number }>('select count(*) as n from defender_event')
    await expect.poll(() => rows.get()?.n).toBeLessThanOrEqual(2)
  })

  it('spares safe addresses', () => {
    const defender = open(standingClock(), { isSafe: (address) => address === '192.0.2.1' })
    for (let n = 0; n < 50; n++) defender.score('192.0.2.1', 'invalid')
    expect(defender.bannedUntil('192.0.2.1')).toBeUndefined()
  })

  it('keeps its memory bounded without letting a ban be washed away', () => {
    const defender = open(standingClock(), { mostHosts: 100 })
    for (let n = 0; n < 8; n++) defender.score('192.0.2.1', 'invalid')
    for (let n = 0; n < 2_000; n++) defender.score(`10.0.${n >> 8}.${n & 255}`, 'valid')
    expect(defender.hosts().length).toBeLessThanOrEqual(101)
    expect(defender.isBanned('192.0.2.1')).toBe(true)
  })

  it('scores logins: unknown names double, bans during a connection, and the connection hears that it is over', async () => {
    await using rig = await openRig({ database, defender: true })
    await rig.addUser({ username: 'ada' }, 'engine')
    await rig.password('nobody', 'x')
    await rig.password('ada', 'x')
    expect(rig.defender.hosts()).toEqual([{ address: '192.0.2.7', score: 3 }])
    const conversation = rig.begin()
    let last
    for (let n = 0; n < 6; n++) last = await conversation.password('nobody', 'x')
    expect(last).toMatchObject({ verdict: 'refused', final: true })
    expect(await conversation.password('ada', 'engine')).toMatchObject({ verdict: 'refused', final: true })
    expect(await rig.authority.admit('192.0.2.7', 'c1')).toMatchObject({ admitted: false })
    principalOf(await rig.password('ada', 'engine', '192.0.2.8'))
  })

  it('counts per address whatever the user, and per user whatever the address (S-34)', async () => {
    await using rig = await openRig({ database, defender: true })
    for (let n = 0; n < 20; n++) await rig.password(`user${n}`, 'x', '192.0.2.50')
    expect(rig.defender.isBanned('192.0.2.50')).toBe(true)
    for (let n = 0; n < 20; n++) await rig.password('ada', 'x', `192.0.2.${100 + n}`)
    expect(rig.defender.hosts().filter(({ bannedUntil }) => bannedUntil !== undefined)).toHaveLength(1)
  })
})

describe('rate limiters (row 55)', () => {
  it('let a burst through, then the average, and drop what is too much', () => {
    const clock = standingClock()
    const limiter = createRateLimiter(
      { average: 10, periodMs: 1000, burst: 5, per: 'address', mostSources: 10, isSafe: () => false },
      clock,
    )
    const arrivals = Array.from({ length: 8 }, () => limiter.delayFor('192.0.2.1'))
    expect(arrivals.filter((wait) => wait === 0)).toHaveLength(5)
    expect(arrivals.at(-1)).toBeUndefined()
    expect(limiter.delayFor('192.0.2.2')).toBe(0)
    clock.move(1000)
    expect(limiter.delayFor('192.0.2.1')).toBe(0)
  })

  it('count everybody together where they are for the server', () => {
    const limiter = createRateLimiter(
      {
        average: 1,
        periodMs: 1000,
        burst: 1,
        per: 'server',
        mostSources: 10,
        isSafe: (one) => one === '10.0.0.1',
      },
      standingClock(),
    )
    expect(limiter.delayFor('192.0.2.1')).toBe(0)
    expect(limiter.delayFor('192.0.2.2')).toBeUndefined()
    expect(limiter.delayFor('10.0.0.1')).toBe(0)
  })
})

describe('admission', () => {
  const admission = (change: Partial<AdmissionOptions> = {}): Admission =>
    createAdmission({
      filters: () => [],
      lists: createAddressLists(database, {}, Date.now),
      ...{ onlyAllowed: false, defender: noDefender, limiters: [], clock: systemClock },
      ...{ log: silentLogger, meter: silentMeter },
      ...change,
    })
  const filter = (
    name: string,
    check: ConfiguredFilter['filter']['check'],
    whenDown: 'refuse' | 'allow' = 'refuse',
  ) => ({ name, filter: { check }, whenDown }) satisfies ConfiguredFilter
  const yes = async (): Promise<{ allowed: true }> => ({ allowed: true })
  const no = async (): Promise<{ allowed: false; reason: string }> => ({ allowed: false, reason: 'RU' })
  const down = (): Promise<never> => Promise.reject(new Error('down'))
  const passed = (by: string) => ({ by, result: 'ok', elapsedMs: expect.any(Number) })
  const letIn = { admitted: true, checks: [passed('address')] }

  it('asks every filter, in parallel, and all must allow', async () => {
    const asked: string[] = []
    const slow = (name: string) =>
      filter(name, async ({ address, protocol }) => {
        asked.push(`${name} ${address} ${protocol}`)
        await new Promise((resolve) => setTimeout(resolve, 40))
        return { allowed: true }
      })
    const started = performance.now()
    const filters = (): ConfiguredFilter[] => [slow('a'), slow('b')]
    expect(await admission({ filters }).admit('::ffff:192.0.2.1')).toEqual({
      admitted: true,
      checks: [passed('plugin a'), passed('plugin b'), passed('address')],
    })
    expect(asked).toEqual(['a 192.0.2.1 SSH', 'b 192.0.2.1 SSH'])
    expect(performance.now() - started).toBeLessThan(75)
    const mixed = (): ConfiguredFilter[] => [filter('a', yes), filter('geo', no)]
    expect(await admission({ filters: mixed }).admit('192.0.2.1')).toEqual({
      admitted: false,
      reason: 'Refused by "geo": RU',
    })
  })

  it('refuses where a filter cannot answer, or marks the connection where the entry allows that (S-70)', async () => {
    const closed = (): ConfiguredFilter[] => [filter('geo', down)]
    expect(await admission({ filters: closed }).admit('192.0.2.1')).toMatchObject({ admitted: false })
    const opened = (): ConfiguredFilter[] => [filter('geo', down, 'allow'), filter('b', yes)]
    expect(await admission({ filters: opened }).admit('192.0.2.1')).toEqual({
      admitted: true,
      unchecked: true,
      checks: [
        { by: 'plugin geo', result: 'failed', reason: 'down', elapsedMs: expect.any(Number) },
        ...[passed('plugin b'), passed('address')],
      ],
    })
    const refused = (): ConfiguredFilter[] => [filter('geo', down, 'allow'), filter('b', no)]
    expect(await admission({ filters: refused }).admit('192.0.2.1')).toMatchObject({ admitted: false })
  })

  it('holds the deny list, and the allow list where only listed addresses may connect', async () => {
    const lists = createAddressLists(database, { deny: ['203.0.113.0/24'] }, Date.now)
    await lists.add({ network: '10.0.0.0/8', list: 'allow', note: 'office' })
    const open = admission({ lists })
    expect(await open.admit('203.0.113.9')).toMatchObject({ admitted: false })
    expect(await open.admit('198.51.100.1')).toEqual(letIn)
    const closed = admission({ lists, onlyAllowed: true })
    expect(await closed.admit('10.1.1.1')).toEqual(letIn)
    expect(await closed.admit('198.51.100.1')).toMatchObject({ admitted: false })
  })

  it('takes over changes of the lists at once, and remembers them', async () => {
    const lists = createAddressLists(database, {}, Date.now)
    const open = admission({ lists })
    await lists.add({ network: '198.51.100.1', list: 'deny', note: '' })
    expect(await open.admit('198.51.100.1')).toMatchObject({ admitted: false })
    expect(createAddressLists(database, {}, Date.now).isIn('deny', '198.51.100.1')).toBe(true)
    expect(await lists.remove({ network: '198.51.100.1', list: 'deny' })).toBe(true)
    expect(await lists.remove({ network: '198.51.100.1', list: 'deny' })).toBe(false)
    expect(await open.admit('198.51.100.1')).toEqual(letIn)
    await expect(lists.add({ network: 'nonsense', list: 'deny', note: '' })).rejects.toThrow(RangeError)
  })

  it('scores clients that come too often, where the limiter says so', async () => {
    const clock = standingClock()
    const defender = createDefender(
      { ...defenderDefaults, isSafe: () => false },
      { database, clock, log: silentLogger },
    )
    const limiter = createRateLimiter(
      { average: 1, periodMs: 60_000, burst: 1, per: 'address', mostSources: 10, isSafe: () => false },
      clock,
    )
    const door = admission({ defender, clock, limiters: [{ limiter, scores: true }] })
    expect(await door.admit('192.0.2.1')).toEqual(letIn)
    for (let n = 0; n < 5; n++) expect(await door.admit('192.0.2.1')).toMatchObject({ admitted: false })
    expect(defender.isBanned('192.0.2.1')).toBe(true)
  })
})
