import type { PacketOpener } from '../../native/packet-cipher.ts'
import type { PrivateCipherInfo, PrivateDecipher, PrivateMacInfo } from './private-parts.ts'

/** The largest packet that the library takes, and we with it (RFC 4253 section 6.1 asks for 35,000 bytes). */
const mostBytes = 35_000
const lengthBytes = 4
/** A packet has at least so many bytes of padding. */
const leastPadding = 4

/**
 * Opens packets where they were received, in the place of the library's own class, which copies each packet that
 * comes in two reads into new memory: half of an upload's bytes, and marking and sweeping them was a fifth of its CPU
 * (docs/decisions/045-packets-in-place.md). As long as reads lie one behind the other, nothing is copied.
 */
export class InPlaceDecipher implements PrivateDecipher {
  inSeqno: number
  _onPayload: (payload: Buffer) => unknown
  readonly _instance: PacketOpener
  readonly #block: number
  /** The beginning of a packet, where it was received. */
  #part: Buffer | undefined
  /** The beginning of a packet whose rest was received elsewhere: a copy. */
  #copy: Buffer | undefined
  #copied = 0
  /** Length of the packet under way; 0 while it is not known. */
  #length = 0

  constructor(before: Pick<PrivateDecipher, 'inSeqno' | '_onPayload'>, opener: PacketOpener, block: number) {
    this.inSeqno = before.inSeqno
    this._onPayload = before._onPayload
    this._instance = opener
    this.#block = Math.max(8, block)
  }

  /** The beginning of a packet lies in memory that was received. */
  get holdsPart(): boolean {
    return this.#part !== undefined
  }

  free(): void {
    this._instance.free()
    this.#part = this.#copy = undefined
  }

  /** As the library's: where to go on with another decipher, or undefined when everything was taken. */
  decrypt(data: Buffer, from: number, end: number): unknown {
    let at = from
    let bytes = data
    /** Where `data` begins in `bytes`. */
    let ahead = 0
    const part = this.#part
    if (part !== undefined) {
      this.#part = undefined
      if (follows(part, data, from)) {
        ahead = data.byteOffset - part.byteOffset
        bytes = Buffer.from(part.buffer, part.byteOffset, ahead + end)
        at = 0
      } else {
        this.#copy = Buffer.allocUnsafeSlow(lengthBytes + mostBytes + this._instance.tagLength)
        this.#copied = part.copy(this.#copy)
      }
    }
    if (this.#copy !== undefined) {
      const copy = this.#copy
      const filled = this.#fill(copy, data, from, end)
      if (filled === undefined) return undefined
      at = filled
      this.#copy = undefined
      const result = this.#open(copy, 0)
      if (result !== undefined) return result === false ? at : result
    }
    const limit = ahead + end
    while (at < limit) {
      if (limit - at < lengthBytes) break
      this.#length ||= this.#lengthAt(bytes, at)
      const next = at + lengthBytes + this.#length + this._instance.tagLength
      if (next > limit) break
      const result = this.#open(bytes, at)
      at = next
      if (result !== undefined) return result === false ? at - ahead : result
    }
    if (at < limit) this.#part = bytes.subarray(at, limit)
    return undefined
  }

  /** Copies what is missing of the packet. Where to go on in `data`; undefined while the packet is not whole. */
  #fill(copy: Buffer, data: Buffer, from: number, end: number): number | undefined {
    for (let at = from; ;) {
      if (this.#length === 0 && this.#copied >= lengthBytes) this.#length = this.#lengthAt(copy, 0)
      const rest = this.#length === 0 ? 0 : this.#length + this._instance.tagLength
      const missing = lengthBytes + rest - this.#copied
      if (missing === 0) return at
      if (at >= end) return undefined
      const more = data.copy(copy, this.#copied, at, Math.min(end, at + missing))
      this.#copied += more
      at += more
    }
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const length = this._instance.lengthAt(bytes, at, this.inSeqno)
    if (length < this.#block || length > mostBytes || length % this.#block !== 0)
      throw new Error('Bad packet length')
    return length
  }

  #open(bytes: Buffer, at: number): unknown {
    const length = this.#length
    this.#length = 0
    this._instance.openAt(bytes, at, length, this.inSeqno)
    const body = at + lengthBytes
    const padding = bytes[body] ?? 0
    if (padding < leastPadding || padding >= length) throw new Error('Bad padding')
    this.inSeqno = (this.inSeqno + 1) >>> 0
    return this._onPayload(bytes.subarray(body + 1, body + length - padding))
  }
}

/** The same decipher, reading in place where its packets tell their length before they are proved. */
export function openedInPlace(
  decipher: PrivateDecipher,
  info: PrivateCipherInfo,
  macInfo: PrivateMacInfo | undefined,
): PrivateDecipher {
  if (info.authLen === 0 && macInfo?.isETM !== true) return decipher
  // With our ciphers in the place of the binding, this is one of them.
  return new InPlaceDecipher(decipher, decipher._instance as PacketOpener, info.blockLen)
}

/** Whether the bytes of `data` from `at` lie right behind `part`. */
function follows(part: Buffer, data: Buffer, at: number): boolean {
  return part.buffer === data.buffer && part.byteOffset + part.length === data.byteOffset + at
}
