import { hash as argon2Hash } from '@node-rs/argon2'
import { hash as bcryptHash } from '@node-rs/bcrypt'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, pbkdf2Sync } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { getPriority } from 'node:os'
import { afterAll, describe, expect, it } from 'vitest'
import { createFairQueue } from '../../src/accounts/fair-queue.ts'
import { createPasswords, hashesAtOnce, type PasswordOptions } from '../../src/accounts/password.ts'
import { looksHashed, parsePasswordHash } from '../../src/accounts/password-hash.ts'

const cheap: PasswordOptions = { argon2: { memory: 1024, iterations: 1, parallelism: 1 } }
const passwords = createPasswords(cheap)
const hasOpenssl = spawnSync('openssl', ['version']).status === 0
afterAll(() => passwords.close())

/** The threads of this process that step back. */
const niceThreads = (): string[] =>
  readdirSync('/proc/self/task').filter((thread) => {
    try {
      return getPriority(Number(thread)) > getPriority()
    } catch {
      return false // it ended meanwhile
    }
  })

const check = async (stored: string, password: string): Promise<string> =>
  (await passwords.verify(stored, password, 'test')).result

const verifiesOnly = async (stored: string, password: string): Promise<void> => {
  expect(await check(stored, password)).toBe('match')
  expect(await check(stored, `${password}x`)).toBe('mismatch')
  expect(await check(stored, '')).toBe('mismatch')
}

describe('stored hashes', () => {
  it('verifies what it hashed itself, as argon2id', async () => {
    const stored = await passwords.hash('correct horse')
    expect(stored).toMatch(/^\$argon2id\$v=19\$m=1024,t=1,p=1\$/)
    await verifiesOnly(stored, 'correct horse')
  })

  it('verifies argon2id hashes with other parameters', async () => {
    await verifiesOnly(await argon2Hash('ada', { memoryCost: 2048, timeCost: 3, parallelism: 2 }), 'ada')
  })

  it.each(['2a', '2b', '2y'] as const)('verifies bcrypt hashes with the prefix $%s$', async (version) => {
    await verifiesOnly(await bcryptHash('ada', { cost: 4, version }), 'ada')
  })

  it.each([
    ['sha1', 20],
    ['sha256', 32],
    ['sha512', 64],
  ] as const)('verifies pbkdf2-%s hashes with a plain salt', async (digest, bytes) => {
    const key = pbkdf2Sync('secret', 'E86a9YMX3zC7', 1500, bytes, digest).toString('base64')
    await verifiesOnly(`$pbkdf2-${digest}$1500$E86a9YMX3zC7$${key}`, 'secret')
  })

  it('verifies a pbkdf2 hash that SFTPGo itself is tested with', async () => {
    const stored = '$pbkdf2-sha256$150000$E86a9YMX3zC7$R5J62hsSq+pYw00hLLPKBbcGXmq7fj5+/M0IFoYtZbo='
    expect(await check(stored, 'password')).toBe('match')
  })

  it('verifies pbkdf2 hashes whose salt is base64', async () => {
    const salt = Buffer.from([1, 2, 250, 36, 0, 7])
    const key = pbkdf2Sync('secret', salt, 1000, 32, 'sha256').toString('base64')
    await verifiesOnly(`$pbkdf2-b64salt-sha256$1000$${salt.toString('base64')}$${key}`, 'secret')
  })

  it('verifies hashes of 389 Directory Server, in its own form and as SFTPGo imports it', async () => {
    const salt = Buffer.alloc(64, 9)
    const key = pbkdf2Sync('secret', salt, 8192, 256, 'sha256')
    const iterations = Buffer.from([0, 0, 0x20, 0])
    const whole = Buffer.concat([iterations, salt, key]).toString('base64')
    await verifiesOnly(`{PBKDF2_SHA256}${whole}`, 'secret')
    await verifiesOnly(
      `$pbkdf2-b64salt-sha256$8192$${salt.toString('base64')}$${key.toString('base64')}`,
      'secret',
    )
  })

  it.skipIf(!hasOpenssl).each([
    ['-1', 'saltsalt'],
    ['-apr1', 'x'],
    ['-5', 'saltstring'],
    ['-6', 'saltstring'],
  ])('verifies what "openssl passwd %s" makes (needs openssl)', async (flag, salt) => {
    for (const password of [
      'a',
      'fifteen letters',
      'sixteen letters!',
      'Grüße an die Welt, recht lang und bunt',
    ]) {
      const stored = execFileSync('openssl', ['passwd', flag, '-salt', salt, password], { encoding: 'utf8' })
      await verifiesOnly(stored.trim(), password)
    }
  })

  it('verifies sha512crypt hashes with rounds', async () => {
    // From the specification of SHA-crypt by Ulrich Drepper.
    const stored =
      '$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.'
    await verifiesOnly(stored, 'Hello world!')
  })

  it.each(['md5', 'sha256', 'sha512'])('verifies {%s} digests', async (name) => {
    await verifiesOnly(`{${name.toUpperCase()}}${createHash(name).update('ada').digest('hex')}`, 'ada')
  })

  it('says when a hash was made another way than new ones are', async () => {
    const own = await passwords.hash('ada')
    const other = await bcryptHash('ada', { cost: 4 })
    expect(await passwords.verify(own, 'ada', 's')).toEqual({ result: 'match', outdated: false })
    expect(await passwords.verify(other, 'ada', 's')).toEqual({ result: 'match', outdated: true })
    // Also when the password is remembered and no hash is computed.
    expect(await passwords.verify(other, 'ada', 's')).toEqual({ result: 'match', outdated: true })
  })

  it.each([
    '$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g',
    '$argon2id$v=19$m=65536,t=4000000,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g',
    '$2a$31$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu',
    '$6$rounds=999999999$salt$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.',
    `$pbkdf2-sha256$2000000000$salt$${Buffer.alloc(32).toString('base64')}`,
    `{PBKDF2_SHA256}${Buffer.alloc(324, 0xff).toString('base64')}`,
  ])('refuses to pay the cost that %s asks for', async (stored) => {
    expect(parsePasswordHash(stored).kind).toBe('unusable')
    expect(await check(stored, 'ada')).toBe('unusable')
  })

  it.each([
    '',
    'ada',
    '$',
    '$2a$',
    '$argon2id$',
    '$6$',
    '{MD5}zz',
    '$y$j9T$abc$def',
    '$1$salt',
    'x'.repeat(5000),
  ])('lets nobody in with the malformed hash "%.20s"', async (stored) => {
    expect(await check(stored, 'ada')).not.toBe('match')
    expect(await check(stored, stored)).not.toBe('match')
    expect(await check(stored, '')).not.toBe('match')
  })

  it('knows hashes from passwords', () => {
    expect(
      ['$2b$10$x', '$2y$10$x', '$argon2id$x', '{SHA256}00', '$1$a$b', '$pbkdf2-sha1$1$a$b'].every(
        looksHashed,
      ),
    ).toBe(true)
    expect(['secret', '$ecret', '2a$', '{clear}secret'].some(looksHashed)).toBe(false)
  })
})

describe('new passwords', () => {
  it('refuses what cannot be a password', () => {
    expect(passwords.passwordProblem('')).toBe('is empty')
    expect(passwords.passwordProblem('a\0b')).toContain('NUL')
    expect(passwords.passwordProblem('x'.repeat(5000))).toContain('longer')
    expect(passwords.passwordProblem('x'.repeat(80))).toBeUndefined()
  })

  it('refuses more than the 72 bytes bcrypt reads', async () => {
    const bcrypt = createPasswords({ algorithm: 'bcrypt', bcryptCost: 4 })
    expect(await bcrypt.hash('x'.repeat(72))).toMatch(/^\$2a\$04\$/)
    await expect(bcrypt.hash('ü'.repeat(37))).rejects.toThrow('72 bytes')
  })

  it('refuses a password that is too easy to guess where a least entropy is set', () => {
    const strict = createPasswords({ ...cheap, minEntropy: 60 })
    expect(strict.passwordProblem('password')).toBe('is too easy to guess')
    expect(strict.passwordProblem('Tr0ub4dor&3-xkcd')).toBeUndefined()
  })
})

describe('the work of hashing', () => {
  it('leaves the event loop free', async () => {
    const busy = createPasswords({ atOnce: 1 })
    const work = Promise.all([1, 2, 3, 4].map((n) => busy.verify(undefined, `p${n}`, 's')))
    let ticks = 0
    const timer = setInterval(() => (ticks += 1), 2)
    await work
    clearInterval(timer)
    expect(ticks).toBeGreaterThan(10)
  })

  it('takes all cores but one, and at least one', () => {
    expect([1, 2, 3, 4, 64].map((cores) => hashesAtOnce(cores))).toEqual([1, 1, 2, 3, 4])
  })

  it.skipIf(process.platform !== 'linux')('stands behind everybody else in the line for a core', async () => {
    const own = createPasswords({ atOnce: 1 })
    const known = new Set(niceThreads())
    const work = own.verify(undefined, 'password', 's')
    await expect.poll(() => niceThreads().some((thread) => !known.has(thread))).toBe(true)
    await work
    await own.close()
  })

  it('refuses when too many wait', async () => {
    const small = createPasswords({ ...cheap, atOnce: 1, inLine: 2 })
    const results = await Promise.all([1, 2, 3, 4, 5].map((n) => small.verify(undefined, 'p', `s${n}`)))
    expect(results.filter(({ result }) => result === 'overloaded')).toHaveLength(2)
  })

  it('serves sources in turn, so that a flood delays only itself', async () => {
    const queue = createFairQueue({ atOnce: 1, inLine: 100, inLinePerKey: 50 })
    const order: string[] = []
    const task = (key: string) => async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve))
      order.push(key)
    }
    const flood = Array.from({ length: 30 }, () => queue.run('flood', task('flood')))
    const honest = queue.run('honest', task('honest'))
    await Promise.all([...flood, honest])
    expect(order.indexOf('honest')).toBeLessThan(3)
    expect(order).toHaveLength(31)
    expect(queue.running + queue.waiting).toBe(0)
  })

  it('counts the lanes of a hash, and makes up for lanes beyond its cores by a rest', async () => {
    const queue = createFairQueue({ atOnce: 2, inLine: 10, inLinePerKey: 10 })
    const full = new Error('The line is full')
    let busy = 0
    let most = 0
    const work = async (cores: number): Promise<void> => {
      busy += cores
      most = Math.max(most, busy)
      await new Promise((resolve) => setTimeout(resolve, 20))
      busy -= cores
    }
    await Promise.all(
      [1, 2, 1, 1, 2].map(
        (cores) => queue.run(`of ${cores}`, () => work(cores), cores) ?? Promise.reject(full),
      ),
    )
    expect(most).toBe(2)
    expect(queue.running + queue.waiting).toBe(0)
    const since = performance.now()
    // Four lanes on two cores for 20 ms: the next one starts after as long a rest.
    await Promise.all([4, 1].map((cores) => queue.run('a', () => work(1), cores) ?? Promise.reject(full)))
    expect(performance.now() - since).toBeGreaterThan(55)
  })

  it('goes on after a task that failed', async () => {
    const queue = createFairQueue({ atOnce: 1, inLine: 10, inLinePerKey: 10 })
    const first = queue.run('a', () => Promise.reject(new Error('broken')))
    const second = queue.run('a', async () => 'done')
    await expect(first).rejects.toThrow('broken')
    expect(await second).toBe('done')
  })
})
