import type { createHash as CreateHash } from 'node:crypto'

/**
 * The MD5 hash of crypt(3), whole: `$1$salt$...` (magic "1") or Apache's `$apr1$salt$...` (magic "apr1").
 *
 * Self-contained: it is sent to a thread as text, so it may use nothing but its arguments and globals.
 */
export function md5Crypt(
  createHash: typeof CreateHash,
  password: string,
  salt: string,
  magic: string,
): string {
  const md5 = (...parts: (string | Buffer)[]): Buffer => {
    const hash = createHash('md5')
    for (const part of parts) hash.update(part)
    return hash.digest()
  }
  const length = Buffer.byteLength(password)
  const alternate = md5(password, salt, password)
  const parts: (string | Buffer)[] = [password, `$${magic}$`, salt]
  for (let left = length; left > 0; left -= 16) parts.push(alternate.subarray(0, Math.min(16, left)))
  const first = Buffer.from(password).subarray(0, 1)
  for (let bits = length; bits > 0; bits >>= 1) parts.push((bits & 1) === 1 ? Buffer.alloc(1) : first)
  let digest = md5(...parts)
  for (let round = 0; round < 1000; round++) {
    const odd = (round & 1) === 1
    const line: (string | Buffer)[] = [odd ? password : digest]
    if (round % 3 !== 0) line.push(salt)
    if (round % 7 !== 0) line.push(password)
    line.push(odd ? digest : password)
    digest = md5(...line)
  }
  const letters = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  const encode = (value: number, count: number): string => {
    let text = ''
    for (let rest = value, n = 0; n < count; n++, rest >>= 6) text += letters.charAt(rest & 0x3f)
    return text
  }
  const byte = (index: number): number => digest[index] ?? 0
  let text = ''
  for (const [a, b, c] of [
    [0, 6, 12],
    [1, 7, 13],
    [2, 8, 14],
    [3, 9, 15],
    [4, 10, 5],
  ] as const)
    text += encode((byte(a) << 16) | (byte(b) << 8) | byte(c), 4)
  return `$${magic}$${salt}$${text}${encode(byte(11), 2)}`
}
