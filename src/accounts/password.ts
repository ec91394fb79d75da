import { createHmac, randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { createFairQueue } from './fair-queue.ts'
import { createHashThreads, type NewHash } from './hash-threads.ts'
import { parsePasswordHash, type PasswordHash } from './password-hash.ts'

/** Hashes and checks passwords, off the main thread and never on all cores. */
export interface Passwords {
  /**
   * Checks `password` against a stored hash. Without one the same work is done for nothing, so that somebody
   * without an account costs what somebody with one costs. `source` shares the waiting line fairly.
   */
  verify(stored: string | undefined, password: string, source: string): Promise<PasswordCheck>
  /** The hash to store. Throws a `RangeError` when `passwordProblem` would have one. */
  hash(password: string): Promise<string>
  /** Why this text cannot become a password; undefined when it can. */
  passwordProblem(password: string): string | undefined
  /** How many hashes are being computed and how many wait. */
  readonly load: { readonly running: number; readonly waiting: number }
  close(): Promise<void>
}

/** What came of a check. */
export type PasswordCheck =
  /** `outdated`: made another way than new hashes are, so it is to be renewed. */
  | { readonly result: 'match'; readonly outdated: boolean }
  | { readonly result: 'mismatch' }
  /** The stored hash is not one that can be used. */
  | { readonly result: 'unusable'; readonly reason: string }
  /** Too many wait already. */
  | { readonly result: 'overloaded' }

/** How new passwords are hashed, and how much of the machine hashing may take. */
export interface PasswordOptions {
  /** Default argon2id. */
  readonly algorithm?: 'argon2id' | 'bcrypt'
  /** KiB, passes, lanes. Default 65536, 1, 2: SFTPGo's, so that a hash moves between the two without being renewed. */
  readonly argon2?: { readonly memory: number; readonly iterations: number; readonly parallelism: number }
  /** Default 10. */
  readonly bcryptCost?: number
  /** Hashes at once. Default: see `hashesAtOnce`. */
  readonly atOnce?: number
  /** Checks that may wait. Default 256 in all, 32 for one source. */
  readonly inLine?: number
  readonly inLinePerSource?: number
  /** Right passwords remembered (as a keyed digest) so that they need no slow hash again. Default 500; 0 none. */
  readonly remembered?: number
  /** Least estimated entropy of a new password, in bits. Default 0. */
  readonly minEntropy?: number
}

/** Longest password, in bytes: no hash gets slower by a longer one, but a flood of long ones costs memory. */
export const mostPasswordBytes = 4096

/** More threads than this would only take memory: they check hundreds of passwords a second. */
const mostThreads = 4

/** How many hashes are computed at once: on all cores but one, at least one. */
export function hashesAtOnce(cores = availableParallelism()): number {
  return Math.max(1, Math.min(cores - 1, mostThreads))
}

/** Creates the one place where passwords are hashed. Its threads start with the first hashes. */
export function createPasswords(options: PasswordOptions = {}): Passwords {
  const algorithm = options.algorithm ?? 'argon2id'
  const argon2 = options.argon2 ?? { memory: 65_536, iterations: 1, parallelism: 2 }
  const cost = options.bcryptCost ?? 10
  const atOnce = options.atOnce ?? hashesAtOnce()
  const queue = createFairQueue({
    atOnce,
    // A machine of one core has none to spare: hashes get half of it.
    ...(availableParallelism() === 1 && { share: 0.5 }),
    inLine: options.inLine ?? 256,
    inLinePerKey: options.inLinePerSource ?? 32,
  })
  const threads = createHashThreads(atOnce)
  const newHash: NewHash = algorithm === 'bcrypt' ? { kind: 'bcrypt', cost } : { kind: 'argon2id', ...argon2 }
  const memory = createPasswordMemory(options.remembered ?? 500)
  const nobody = nobodysHash(algorithm, argon2, cost)

  const isCurrent = (hash: PasswordHash): boolean => {
    if (hash.kind === 'bcrypt') return algorithm === 'bcrypt' && hash.cost === cost
    if (hash.kind !== 'argon2id' || algorithm !== 'argon2id') return false
    const { memory: kib, iterations, parallelism } = hash
    return kib === argon2.memory && iterations === argon2.iterations && parallelism === argon2.parallelism
  }
  const passwordProblem = (password: string): string | undefined => {
    const bytes = Buffer.byteLength(password)
    if (bytes === 0) return 'is empty'
    if (bytes > mostPasswordBytes) return `is longer than ${mostPasswordBytes} bytes`
    // bcrypt reads 72 bytes and ignores the rest: whoever knows the beginning would be let in.
    if (algorithm === 'bcrypt' && bytes > 72) return 'is longer than the 72 bytes that bcrypt reads'
    if (password.includes('\0')) return 'contains a NUL character'
    if (entropyBits(password) < (options.minEntropy ?? 0)) return 'is too easy to guess'
    return undefined
  }
  return {
    async verify(stored, password, source) {
      const parsed = parsePasswordHash(stored === undefined || stored === '' ? nobody : stored)
      const usable = parsed.kind === 'unusable' ? parsePasswordHash(nobody) : parsed
      if (usable.kind === 'unusable') return { result: 'unusable', reason: usable.reason }
      const real = stored !== undefined && stored !== '' && parsed.kind !== 'unusable'
      if (real && memory.knows(stored, password)) return { result: 'match', outdated: !isCurrent(usable) }
      const matches = await queue.run(source, () => threads.verify(usable, password), coresOf(usable))
      if (matches === undefined) return { result: 'overloaded' }
      if (parsed.kind === 'unusable') return { result: 'unusable', reason: parsed.reason }
      if (!real || !matches || password === '') return { result: 'mismatch' }
      memory.remember(stored, password)
      return { result: 'match', outdated: !isCurrent(usable) }
    },
    async hash(password) {
      const problem = passwordProblem(password)
      if (problem !== undefined) throw new RangeError(`The password ${problem}`)
      // Its own key: setting a password does not stand in line behind a flood of wrong ones.
      const cores = algorithm === 'argon2id' ? coresOfLanes(argon2.parallelism) : 1
      const text = await queue.run('', () => threads.hash(newHash, password), cores)
      if (text === undefined) throw new Error('Cannot hash a password: too many wait already')
      return text
    },
    passwordProblem,
    get load() {
      return { running: queue.running, waiting: queue.waiting }
    },
    close: () => threads.close(),
  }
}

/** The library computes the lanes of argon2 on threads of their own. */
function coresOf(hash: PasswordHash): number {
  return hash.kind === 'argon2id' ? coresOfLanes(hash.parallelism) : 1
}

function coresOfLanes(lanes: number): number {
  return Math.min(lanes, availableParallelism())
}

/** A hash of the configured form and cost that no password has: random bytes where the result would stand. */
function nobodysHash(
  algorithm: 'argon2id' | 'bcrypt',
  argon2: { readonly memory: number; readonly iterations: number; readonly parallelism: number },
  cost: number,
): string {
  const random = (bytes: number): string => randomBytes(bytes).toString('base64').replace(/=+$/, '')
  if (algorithm === 'argon2id')
    return `$argon2id$v=19$m=${argon2.memory},t=${argon2.iterations},p=${argon2.parallelism}$${random(16)}$${random(32)}`
  // Its last letters carry fewer bits: "u" and "." are valid in both places.
  const letters = (count: number, last: string): string =>
    random(64)
      .replaceAll('+', '.')
      .slice(0, count - 1) + last
  return `$2a$${String(cost).padStart(2, '0')}$${letters(22, 'u')}${letters(31, '.')}`
}

interface PasswordMemory {
  knows(stored: string, password: string): boolean
  remember(stored: string, password: string): void
}

/**
 * Remembers right passwords as digests under a key that only this process has. Bound to the stored hash, so a
 * new password forgets the old one by itself. Keeps a known user's login fast while a flood fills the line.
 */
function createPasswordMemory(most: number): PasswordMemory {
  const key = randomBytes(32)
  const known = new Map<string, true>()
  const digest = (stored: string, password: string): string =>
    createHmac('sha256', key).update(`${stored.length}:${stored}`).update(password).digest('base64')
  return {
    knows(stored, password) {
      if (known.size === 0) return false
      const entry = digest(stored, password)
      if (!known.delete(entry)) return false
      known.set(entry, true) // to the end: the one used longest ago is forgotten first
      return true
    },
    remember(stored, password) {
      if (most === 0) return
      if (known.size >= most) {
        const [oldest] = known.keys()
        if (oldest !== undefined) known.delete(oldest)
      }
      known.set(digest(stored, password), true)
    },
  }
}

/** A rough estimate, as SFTPGo makes it: how many characters could have stood there, and how many do (runs count little). */
function entropyBits(password: string): number {
  const pools: readonly [RegExp, number][] = [
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/[0-9]/, 10],
    [/[!@$&*]/, 5],
    [/[_\-., ]/, 5],
    [/[^a-zA-Z0-9!@$&*_\-., ]/, 20],
  ]
  const base = pools.reduce((sum, [pattern, size]) => sum + (pattern.test(password) ? size : 0), 0)
  const length = password.replace(/(.)\1{2,}/gu, '$1$1').length
  return base === 0 ? 0 : length * Math.log2(base)
}
