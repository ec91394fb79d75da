import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** Hash algorithms of RFC 6238. */
export type TotpAlgorithm = 'sha1' | 'sha256' | 'sha512'

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

/** The number of the 30 second step at a time in milliseconds since 1970. */
export function totpStepAt(now: number): number {
  return Math.floor(now / 1000 / stepSeconds)
}

/** The step around `current` whose code this is: a step early or late is forgiven. Undefined when it is none. */
export function stepOfCode(
  code: string,
  key: Buffer,
  { current, algorithm }: { readonly current: number; readonly algorithm: TotpAlgorithm },
): number | undefined {
  return [current, current - 1, current + 1].find((step) => same(code.trim(), codeAt(key, step, algorithm)))
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
