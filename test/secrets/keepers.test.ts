import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/base/clock.ts'
import { PluginError } from '../../src/base/errors.ts'
import { createKeepers, type KeepersOptions, type PluginKeeper } from '../../src/secrets/keepers.ts'
import { rehearseSecrets, rotateSecrets, type HeldSecret } from '../../src/secrets/rotation.ts'
import { Secret, type StoredSecret } from '../../src/secrets/secret.ts'
import type { KeyKeeper } from '../../src/slots/kms/contract.ts'
import { manualClock } from '../helpers/manual-clock.ts'

/** A keeper as a plugin would be: remembers under numbers, counts calls, fails on demand. */
function plugin(scheme: string, status: string) {
  const kept = new Map<string, { payload: string; data: string; url: string }>()
  const state = { calls: 0, down: false, error: undefined as PluginError | undefined }
  const keeper: KeyKeeper = {
    async seal({ payload, additionalData, url }) {
      state.calls += 1
      if (state.error !== undefined) throw state.error
      const key = `${scheme}-${kept.size}`
      kept.set(key, { payload, data: additionalData, url })
      return { payload: Buffer.from(key).toString('base64'), key, mode: 0 }
    },
    async open({ key, additionalData, url }) {
      state.calls += 1
      if (state.error !== undefined) throw state.error
      const found = kept.get(key)
      if (found === undefined || found.data !== additionalData || found.url !== url)
        throw new PluginError('failed', 'no such key')
      return found.payload
    },
  }
  const entry: PluginKeeper = {
    name: `kms-${scheme}`,
    scheme,
    status,
    keeper: () => (state.down ? undefined : keeper),
  }
  return { entry, state, kept }
}

/** Frees what nothing leads to any more. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void // there since the flag is set
  collect()
}

function keepers(options: Partial<KeepersOptions> = {}) {
  return createKeepers({ url: '', cacheTimeMs: 60_000, ...options })
}

describe('keepers', () => {
  it('seal with what kms.secrets.url names', async () => {
    const vault = plugin('hashivault', 'VaultTransit')
    const own = plugin('mykms', 'MyKMS')
    const plugins = () => [vault.entry, own.entry]
    const sealedWith = async (url: string) =>
      (await keepers({ url, plugins }).seal(new Secret('x'), 'ada')).status
    expect(await sealedWith('')).toBe('Secretbox')
    expect(await sealedWith('local://')).toBe('Secretbox')
    expect(await sealedWith('builtin://')).toBe('AES-256-GCM')
    expect(await sealedWith('hashivault://key')).toBe('VaultTransit')
    expect(await sealedWith('mykms://any')).toBe('MyKMS')
  })

  it('fail to seal where nothing answers to kms.secrets.url, and open the rest all the same', async () => {
    const stored = await keepers().seal(new Secret('x'), 'ada')
    const without = keepers({ url: 'awskms://key' })
    await expect(without.seal(new Secret('y'), 'ada')).rejects.toMatchObject({
      code: 'keeper-missing',
      message: expect.stringContaining('awskms'),
    })
    expect((await without.open(stored)).reveal()).toBe('x')
  })

  it('open what any configured keeper sealed, with the address it was sealed under', async () => {
    const vault = plugin('hashivault', 'VaultTransit')
    const cloud = plugin('awskms', 'AWS')
    const plugins = () => [vault.entry, cloud.entry]
    const stored: StoredSecret[] = []
    for (const url of ['', 'builtin://', 'hashivault://one', 'hashivault://two', 'awskms://three']) {
      stored.push(await keepers({ url, plugins }).seal(new Secret(`under ${url}`), 'ada'))
    }
    const now = keepers({ url: 'awskms://four', plugins })
    const opened = await Promise.all(stored.map(async (one) => (await now.open(one)).reveal()))
    expect(opened).toEqual([
      'under ',
      'under builtin://',
      'under hashivault://one',
      'under hashivault://two',
      'under awskms://three',
    ])
    expect(stored.map((one) => now.isCurrent(one))).toEqual([false, false, false, false, false])
  })

  it('make one call of concurrent opens, and none while the key is warm', async () => {
    const vault = plugin('hashivault', 'VaultTransit')
    let now = 0
    const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => {} }
    const all = keepers({ url: 'hashivault://k', plugins: () => [vault.entry], cacheTimeMs: 1000, clock })
    const stored = await all.seal(new Secret('x'), 'ada')
    vault.state.calls = 0
    await Promise.all(Array.from({ length: 50 }, () => all.open(stored)))
    expect(vault.state.calls).toBe(1)
    now = 999
    await all.open(stored)
    expect(vault.state.calls).toBe(1)
    now = 1001
    await all.open(stored)
    expect(vault.state.calls).toBe(2)
    all.forget()
    await all.open(stored)
    expect(vault.state.calls).toBe(3)
  })

  it('keep an opened secret no longer than they may, also when nobody asks again', async () => {
    const vault = plugin('hashivault', 'VaultTransit')
    const clock = manualClock()
    const all = keepers({ url: 'hashivault://k', plugins: () => [vault.entry], cacheTimeMs: 1000, clock })
    const stored = await all.seal(new Secret('x'), 'ada')
    const opened = new WeakRef(await all.open(stored))
    await new Promise(setImmediate)
    collectGarbage()
    expect(opened.deref()).toBeDefined()
    clock.advance(1000)
    await new Promise(setImmediate)
    collectGarbage()
    expect(opened.deref()).toBeUndefined()
  })

  it('do not remember a failure', async () => {
    const vault = plugin('hashivault', 'VaultTransit')
    const all = keepers({ url: 'hashivault://k', plugins: () => [vault.entry] })
    const stored = await all.seal(new Secret('x'), 'ada')
    vault.state.error = new PluginError('deadline', 'no answer')
    await expect(all.open(stored)).rejects.toMatchObject({ code: 'keeper-unavailable' })
    vault.state.error = undefined
    expect((await all.open(stored)).reveal()).toBe('x')
  })

  it('tell a keeper that is missing, down, or says no apart, and never show the secret', async () => {
    const vault = plugin('hashivault', 'VaultTransit')
    const all = keepers({ url: 'hashivault://k', plugins: () => [vault.entry] })
    const stored = await all.seal(new Secret('x'), 'ada')
    await expect(keepers().open(stored)).rejects.toMatchObject({
      code: 'keeper-missing',
      message: expect.stringContaining('VaultTransit'),
    })
    vault.state.down = true
    await expect(all.open(stored)).rejects.toMatchObject({
      code: 'keeper-unavailable',
      message: expect.stringContaining('kms-hashivault'),
    })
    vault.state.down = false
    vault.kept.clear()
    await expect(all.open(stored)).rejects.toMatchObject({ code: 'keeper-refused' })
  })

  it('take nothing for no answer, neither as a sealed secret nor as an opened one', async () => {
    const empty: KeyKeeper = {
      seal: async () => ({ payload: '', key: '', mode: 0 }),
      open: async () => '',
    }
    const entry = { ...plugin('hashivault', 'VaultTransit').entry, keeper: () => empty }
    const all = keepers({ url: 'hashivault://k', plugins: () => [entry] })
    await expect(all.seal(new Secret('x'), '')).rejects.toMatchObject({ code: 'keeper-refused' })
    await expect(all.open({ status: 'VaultTransit', payload: 'sealed' })).rejects.toMatchObject({
      code: 'keeper-refused',
    })
  })

  it('give a plain secret as it is and refuse a redacted one', async () => {
    expect((await keepers().open({ status: 'Plain', payload: 'clear' })).reveal()).toBe('clear')
    await expect(keepers().open({ status: 'Redacted', payload: 'x' })).rejects.toMatchObject({
      code: 'malformed',
    })
  })
})

function held(secrets: Map<string, StoredSecret>): HeldSecret[] {
  return [...secrets].map(([place, stored]) => ({
    ...{ place, stored },
    async replace(next) {
      if (secrets.get(place) !== stored) return false
      secrets.set(place, next)
      return true
    },
  }))
}

describe('rotating', () => {
  it('seals everything with the current keeper, leaves the rest, and says what failed', async () => {
    const secrets = new Map<string, StoredSecret>()
    const old = keepers()
    for (const name of ['ada', 'bob', 'eve'])
      secrets.set(`user/${name}`, await old.seal(new Secret(`of ${name}`), name))
    secrets.set('user/lost', { status: 'AWS', payload: 'x' })
    const builtin = keepers({ url: 'builtin://' })
    const report = await rotateSecrets({ keepers: builtin, secrets: held(secrets) })
    expect(report).toMatchObject({
      rotated: 3,
      kept: 0,
      failed: [{ place: 'user/lost', error: { code: 'keeper-missing' } }],
    })
    expect((await builtin.open(secrets.get('user/bob') ?? {})).reveal()).toBe('of bob')
    expect(await rotateSecrets({ keepers: builtin, secrets: held(secrets) })).toMatchObject({
      rotated: 0,
      kept: 3,
    })
  })

  it('goes on where it was cut, also when everything is sealed anew', async () => {
    const secrets = new Map<string, StoredSecret>()
    const all = keepers()
    for (let i = 0; i < 10; i += 1) secrets.set(`user/${i}`, await all.seal(new Secret(`${i}`), ''))
    let last = ''
    const cut = rotateSecrets({
      ...{ keepers: all, secrets: held(secrets), all: true },
      onProgress({ place, done }) {
        last = place
        if (done === 4) throw new Error('killed')
      },
    })
    await expect(cut).rejects.toThrow('killed')
    const before = new Map(secrets)
    expect(
      await rotateSecrets({ keepers: all, secrets: held(secrets), all: true, after: last }),
    ).toMatchObject({ rotated: 6 })
    expect(secrets.get('user/3')).toBe(before.get('user/3'))
    expect(secrets.get('user/4')).not.toBe(before.get('user/4'))
    for (const [place, stored] of secrets) expect((await all.open(stored)).reveal()).toBe(place.slice(5))
  })

  it('does not overwrite what changed meanwhile', async () => {
    const all = keepers({ url: 'builtin://' })
    const stored = await keepers().seal(new Secret('x'), '')
    const report = await rotateSecrets({
      keepers: all,
      secrets: [{ place: 'p', stored, replace: async () => false }],
    })
    expect(report.failed).toHaveLength(1)
  })
})

describe('rehearsing', () => {
  it('tells which secrets still open and whether the current keeper works', async () => {
    const vault = plugin('hashivault', 'VaultTransit')
    const all = keepers({ url: 'hashivault://k', plugins: () => [vault.entry] })
    const secrets = new Map([
      ['user/ada', await all.seal(new Secret('x'), 'ada')],
      ['user/gone', { status: 'GCP', payload: 'x' }],
    ])
    const good = await rehearseSecrets(all, held(secrets))
    expect(good).toMatchObject({
      opened: 1,
      failed: [{ place: 'user/gone' }],
      current: { keeper: 'hashivault' },
    })
    expect(good.current.error).toBeUndefined()
    vault.state.down = true
    const bad = await rehearseSecrets(all, held(secrets))
    expect(bad).toMatchObject({ opened: 0, current: { error: { code: 'keeper-unavailable' } } })
  })
})
