import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../base/clock.ts'

/** Hash algorithms of RFC 6238. */
export type TotpAlgorithm = 'sha1' | 'sha256' | 'sha512'

/** Checks one-time codes: each is good once, and nobody gets to try many. */
export interface TotpCodes {
  /** Whether `code` is the user's code now, a step before or after, not used before, and not one try too many. */
  check(username: string, code: string, secret: string, algorithm: TotpAlgorithm): TotpCheck
}

/** What came of a check; the reason is for the log. */
export type TotpCheck = { readonly accepted: true } | { readonly accepted: false; readonly reason: string }

/** One kind of second factor that the configuration offers. */
export interface TotpKind {
  readonly name: string
  /** Shown by the user's authenticator. */
  readonly issuer: string
  readonly algorithm: TotpAlgorithm
}

/** A new secret in base32: 20 bytes, as RFC 4226 recommends. */
export function newTotpSecret(): string {
  return encodeBase32(randomBytes(20))
}

/** What an authenticator reads to take a secret over. */
export function totpUri(username: string, secret: string, { issuer, algorithm }: TotpKind): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(username)}`
  const algo = algorithm.toUpperCase()
  return `otpauth://totp/${label}?secret=${secret}&issuer=${encodeURIComponent(issuer)}&algorithm=${algo}`
}

const stepSeconds = 30
/** Tries within `throttleMs` after which a user's codes are not looked at: guessing needs hundreds of thousands. */
const mostFailures = 5
const throttleMs = 5 * 60_000
const mostUsers = 10_000

/** Creates the checker. What was used and failed is kept in memory: a code outlives a restart by 90 seconds at most. */
export function createTotpCodes(clock: Clock): TotpCodes {
  const lastStep = new Map<string, number>()
  const failures = new Map<string, { count: number; readonly until: number }>()
  const fail = (username: string, reason: string): TotpCheck => {
    const now = clock.now()
    const entry = failures.get(username)
    if (entry === undefined || entry.until <= now)
      failures.set(username, { count: 1, until: now + throttleMs })
    else entry.count += 1
    forgetOldest(failures)
    return { accepted: false, reason }
  }
  return {
    check(username, code, secret, algorithm) {
      const now = clock.now()
      const entry = failures.get(username)
      if (entry !== undefined && entry.until > now && entry.count >= mostFailures)
        return { accepted: false, reason: 'Too many wrong codes' }
      const key = decodeBase32(secret)
      if (key === undefined || key.length === 0)
        return { accepted: false, reason: 'The secret is not base32' }
      const current = Math.floor(now / 1000 / stepSeconds)
      const step = [current, current - 1, current + 1].find((one) =>
        same(code.trim(), codeAt(key, one, algorithm)),
      )
      if (step === undefined) return fail(username, 'The code is wrong')
      if (step <= (lastStep.get(username) ?? -1)) return fail(username, 'The code was used before')
      lastStep.delete(username)
      lastStep.set(username, step)
      forgetOldest(lastStep)
      failures.delete(username)
      return { accepted: true }
    },
  }
}

/** The code of one 30 second step: RFC 6238 with six digits. */
export function codeAt(key: Buffer, step: number, algorithm: TotpAlgorithm): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac(algorithm, key).update(counter).digest()
  const offset = (mac.at(-1) ?? 0) & 0xf
  return String((mac.readUInt32BE(offset) & 0x7f_ff_ff_ff) % 1_000_000).padStart(6, '0')
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

function encodeBase32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{5}/g) ?? []).map((five) => letters.charAt(Number.parseInt(five, 2))).join('')
}

/** The bytes of base32 text (RFC 4648, padding optional); undefined when it is none. */
export function decodeBase32(text: string): Buffer | undefined {
  const clean = text.toUpperCase().replace(/[\s-]|=+$/g, '')
  const bytes: number[] = []
  let bits = 0
  let value = 0
  for (const letter of clean) {
    const index = letters.indexOf(letter)
    if (index < 0) return undefined
    value = ((value << 5) | index) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes.push((value >> bits) & 0xff)
  }
  return Buffer.from(bytes)
}

function same(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}

function forgetOldest(map: Map<string, unknown>): void {
  if (map.size <= mostUsers) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}
