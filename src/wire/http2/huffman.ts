import { Http2Fault } from './frames.ts'

/** Reads text that was packed with HPACK's own code (RFC 7541, section 5.2). Throws `Http2Fault` for what is none. */
export function unpackedText(bytes: Buffer): string {
  // The shortest code has five bits.
  const text = Buffer.allocUnsafe(Math.floor((bytes.length * 8) / 5))
  let size = 0
  let code = 0
  let bits = 0
  for (const byte of bytes) {
    for (let at = 7; at >= 0; at--) {
      code = (code << 1) | ((byte >> at) & 1)
      bits += 1
      const letter = letterOf(code, bits)
      if (letter === undefined) continue
      if (letter === endMark) throw new Http2Fault('compression', 'Packed text holds the mark of its end')
      text[size++] = letter
      code = 0
      bits = 0
    }
  }
  // What fills the last byte is the beginning of the end mark: ones, and fewer than a byte of them.
  if (bits > 7 || code !== (1 << bits) - 1)
    throw new Http2Fault('compression', 'Packed text ends within a letter')
  return text.toString('latin1', 0, size)
}

const endMark = 256

/** How many bits each letter's code has (appendix B), as digits of base 36; the end mark is the last. */
const lengths =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq' +
  'u'

/** The letters whose codes have so many bits: the codes are consecutive numbers, as the code is canonical. */
interface Rank {
  readonly first: number
  readonly letters: readonly number[]
}

const ranks: readonly Rank[] = ranksOf(lengths)

function letterOf(code: number, bits: number): number | undefined {
  const rank = ranks[bits]
  return rank?.letters[code - rank.first]
}

function ranksOf(digits: string): Rank[] {
  const made: Rank[] = []
  let next = 0
  for (let bits = 0; bits <= 30; bits++) {
    const letters = digits
      .split('')
      .flatMap((digit, letter) => (parseInt(digit, 36) === bits ? [letter] : []))
    made.push({ first: next, letters })
    next = (next + letters.length) << 1
  }
  return made
}
