import { hash as bcryptHash } from '@node-rs/bcrypt'
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { AskClient } from '../../src/accounts/login-conversation.ts'
import { PluginError } from '../../src/base/errors.ts'
import { entry, openRig, testKey, type LoginRig } from './login-rig.ts'

const samples = 500
/** Attempts for each name that run together. */
const atOnce = 10

/** Which names a client may try, and what sets them apart in the store. */
async function people(rig: LoginRig): Promise<readonly string[]> {
  const sha512 = `{SHA512}${createHash('sha512').update('right').digest('hex')}`
  await rig.addUser({ username: 'argon' }, 'right')
  await rig.addUser({ username: 'bcrypt', password: await bcryptHash('right', { cost: 6 }) })
  await rig.addUser({ username: 'digest', password: sha512 })
  await rig.addUser({ username: 'keyless' })
  await rig.addUser({ username: 'disabled', status: 0 }, 'wrong')
  await rig.addUser({ username: 'expired', expiration_date: 1 }, 'wrong')
  await rig.addUser({ username: 'broken', password: '$argon2id$garbage' })
  return ['nobody', 'argon', 'bcrypt', 'digest', 'keyless', 'disabled', 'expired', 'broken']
}

/** One attempt with a name. Gives back how many milliseconds count, or nothing for all of them. */
type Try = (name: string) => Promise<number | undefined>

/** How long each refusal took, the names taking turns so that noise hits all alike. */
async function measure(names: readonly string[], attempt: Try): Promise<ReadonlyMap<string, number[]>> {
  const times = new Map(names.map((name) => [name, [] as number[]]))
  for (let n = 0; n < 5; n++) await Promise.all(names.map(attempt))
  for (let n = 0; n < samples; n += atOnce) {
    const order = Array.from({ length: atOnce }, () => names).flat()
    await Promise.all(
      shuffled(order).map(async (name) => {
        const since = performance.now()
        const counted = await attempt(name)
        times.get(name)?.push(counted ?? performance.now() - since)
      }),
    )
  }
  return times
}

/** Answers every page wrongly, and writes down what it says. */
function answerWrong(pages: Set<string>): AskClient {
  return async (page) => {
    pages.add(JSON.stringify(page))
    return ['wrong!']
  }
}

/** All the time that an attempt takes. */
function whole(attempt: (name: string) => Promise<unknown>): Try {
  return async (name) => {
    await attempt(name)
    return undefined
  }
}

/** Each attempt comes from somewhere else, so that the share of one address in the waiting line does not matter. */
function anyAddress(): string {
  return `10.${[1, 2, 3].map(() => Math.floor(Math.random() * 256)).join('.')}`
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((value) => ({ value, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ value }) => value)
}

/** Two-sided Mann-Whitney U test by its normal approximation, ties corrected by mid-ranks. */
function rankTest(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((ms) => ({ ms, own: true })), ...b.map((ms) => ({ ms, own: false }))].sort(
    (x, y) => x.ms - y.ms,
  )
  let ranks = 0
  for (let start = 0; start < all.length;) {
    let end = start
    while (end < all.length && all[end]?.ms === all[start]?.ms) end += 1
    const rank = (start + 1 + end) / 2
    for (let at = start; at < end; at++) if (all[at]?.own === true) ranks += rank
    start = end
  }
  const u = ranks - (a.length * (a.length + 1)) / 2
  const mean = (a.length * b.length) / 2
  const deviation = Math.sqrt((a.length * b.length * (a.length + b.length + 1)) / 12)
  const z = Math.abs(u - mean) / deviation
  return erfc(z / Math.SQRT2)
}

function erfc(x: number): number {
  const t = 1 / (1 + 0.3275911 * x)
  const poly =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
  return poly * Math.exp(-x * x)
}

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1] ?? 0

/** Why a name is told from nobody by 500 samples of each, in the words of S-7; undefined when it is not. */
function toldApart(nobody: readonly number[], list: readonly number[]): string | undefined {
  const p = rankTest(nobody, list)
  const apartMs = Math.abs(median(nobody) - median(list))
  return p > 0.01 && apartMs < 5 ? undefined : `p ${p}, medians ${apartMs} ms apart`
}

/** Of a hundred comparisons without a difference chance finds one; three times the same one it finds in a million. */
const mostRounds = 3

/** Nobody is told from anybody. Whoever was has to be told again, by as many new samples, twice. */
async function expectAlike(names: readonly string[], attempt: Try): Promise<void> {
  let suspects: readonly string[] = names.filter((name) => name !== 'nobody')
  const found: string[] = []
  for (let round = 1; round <= mostRounds && suspects.length > 0; round++) {
    const times = await measure(['nobody', ...suspects], attempt)
    suspects = suspects.filter((name) => {
      const list = times.get(name) ?? []
      expect(list.length).toBeGreaterThanOrEqual(samples)
      const difference = toldApart(times.get('nobody') ?? [], list)
      if (difference !== undefined) found.push(`${name}, round ${round}: ${difference}`)
      return difference !== undefined
    })
  }
  expect(suspects, `told from nobody by time: ${found.join('; ')}`).toEqual([])
}

describe('the rank test itself', () => {
  it('finds a difference of a fifth of the spread, and none where there is none', () => {
    const draw = (shift: number): number[] => Array.from({ length: samples }, () => Math.random() + shift)
    expect(rankTest(draw(0), draw(0.2))).toBeLessThan(0.0001)
    expect(rankTest(draw(0), draw(0))).toBeGreaterThan(0.0001)
  })

  it('tells a name whose refusals take a little longer, in each of three rounds', async () => {
    const attempt: Try = async (name) => Math.random() + (name === 'slow' ? 0.3 : 0)
    await expect(expectAlike(['nobody', 'somebody', 'slow'], attempt)).rejects.toThrow('slow, round 3')
  })
})

describe('nobody can tell who has an account (S-7)', { timeout: 120_000 }, () => {
  it('by a password: same answers, same time, whatever kind of hash is stored', async () => {
    await using rig = await openRig({ settings: { failedPasswordDelayMs: 60 } })
    const names = await people(rig)
    const answers = new Set<string>()
    await expectAlike(names, async (name) => {
      const answer = await rig.password(name, 'wrong!', anyAddress())
      answers.add(JSON.stringify({ ...answer, reference: '' }))
      return undefined
    })
    expect([...answers]).toHaveLength(1)
  })

  it('by a right password that a condition refuses', async () => {
    await using rig = await openRig({ settings: { failedPasswordDelayMs: 60 } })
    const names = (await people(rig)).filter((name) => ['nobody', 'disabled', 'expired'].includes(name))
    await expectAlike(
      names,
      whole((name) => rig.password(name, 'wrong', anyAddress())),
    )
  })

  it('by a key', async () => {
    await using rig = await openRig()
    const names = await people(rig)
    const key = testKey()
    await rig.addUser({ username: 'holder', public_keys: [key.line] })
    const stranger = testKey()
    await expectAlike(
      [...names, 'holder'],
      whole((name) => rig.begin().queryKey(name, stranger.offered)),
    )
  })

  it('by a dialogue: same questions, same time', async () => {
    await using rig = await openRig({ settings: { failedPasswordDelayMs: 60 } })
    const names = await people(rig)
    const pages = new Set<string>()
    await expectAlike(names, async (name) => {
      const since = performance.now()
      let shown = 0
      await rig.dialogue(
        name,
        async () => {
          shown = performance.now() - since
          return ['wrong!']
        },
        anyAddress(),
      )
      return shown
    })
    await expectAlike(
      names,
      whole((name) => rig.dialogue(name, answerWrong(pages), anyAddress())),
    )
    expect(pages.size).toBe(1)
  })

  it('through a plugin that takes longer for names it knows', async () => {
    await using rig = await openRig({ settings: { failedPasswordDelayMs: 60 } })
    const names = await people(rig)
    rig.plugins.push(
      entry('ldap', {
        async checkPassword({ username }) {
          if (!username.startsWith('nobody')) await new Promise((resolve) => setTimeout(resolve, 8))
          return { granted: false, certain: true }
        },
      }),
    )
    await expectAlike(
      names,
      whole((name) => rig.password(name, 'wrong!', anyAddress())),
    )
  })

  it('through a plugin of SFTPGo, whose refusals might be failures, slow for names it knows', async () => {
    await using rig = await openRig({ settings: { failedPasswordDelayMs: 20 } })
    const names = await people(rig)
    rig.plugins.push(
      entry('ldap', {
        async checkPassword({ username }) {
          await new Promise((resolve) => setTimeout(resolve, username.startsWith('nobody') ? 5 : 30))
          return { granted: false, certain: false }
        },
      }),
    )
    await expectAlike(
      names,
      whole((name) => rig.password(name, 'wrong!', anyAddress())),
    )
  })

  it('through a plugin that asks questions only of names it knows', async () => {
    await using rig = await openRig({ settings: { failedPasswordDelayMs: 60 } })
    const names = await people(rig)
    const slowly = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 4))
    rig.plugins.push(
      entry('quiz', {
        beginDialogue: async ({ username }) =>
          username.startsWith('nobody') ? { granted: false } : { granted: true },
        async continueDialogue({ step }) {
          await slowly()
          return step === 1
            ? { next: 'ask', instructions: '', questions: [{ text: 'Word: ', echo: false }] }
            : { next: 'refuse', certain: true }
        },
      }),
    )
    await rig.dialogue('argon', ['wrong'])
    const pages = new Set<string>()
    const untilPage: Try = async (name) => {
      const since = performance.now()
      let shown = 0
      const answer = answerWrong(pages)
      await rig.dialogue(
        name,
        (page) => {
          shown = performance.now() - since
          return answer(page)
        },
        anyAddress(),
      )
      return shown
    }
    await expectAlike(names, untilPage)
    expect(pages.size).toBe(1)
    await expectAlike(names, whole(untilPage))
  })

  it('through a plugin that is down', async () => {
    await using rig = await openRig({ settings: { failedPasswordDelayMs: 60 } })
    const names = await people(rig)
    rig.plugins.push(
      entry('ldap', { checkPassword: () => Promise.reject(new PluginError('exited', 'It is down')) }),
    )
    await expectAlike(
      names,
      whole((name) => rig.password(name, 'wrong!', anyAddress())),
    )
  })
})
