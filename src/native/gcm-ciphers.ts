import { pinnedBuffer } from './arena.ts'
import { check, locate, openContext, setKey, type Address, type OpenSsl } from './openssl.ts'
import { checkPacket, type PacketCipher, type PacketOpener } from './packet-cipher.ts'

/** Both directions, as classes. */
export interface GcmCiphers {
  readonly AESGCMCipher: new (name: string, key: Buffer, iv: Buffer) => PacketCipher
  readonly AESGCMDecipher: new (name: string, key: Buffer, iv: Buffer) => PacketOpener
}

const gcm = { setIvLength: 9, getTag: 16, setTag: 17 } as const
const tagLength = 16

/** AES-GCM for packets (RFC 5647): the length in clear and authenticated. */
export function createGcmCiphers(ssl: OpenSsl): GcmCiphers {
  // Scratch that every call overwrites before it reads it; JavaScript runs one call at a time.
  const outLength = pinnedBuffer(8)
  const scratch = pinnedBuffer(64)

  /** What both directions of AES-GCM share: one context for the life of the key, the counter in our own memory. */
  class Gcm {
    #context: Address
    readonly #iv = pinnedBuffer(12)

    constructor(name: string, key: Buffer, iv: Buffer, encrypt: boolean) {
      if (iv.length !== 12) throw new Error('AES-GCM needs an IV of 12 bytes')
      this.#context = openContext(ssl, name, encrypt)
      check(ssl.control(this.#context, gcm.setIvLength, 12, 0), 'set the length of the IV')
      setKey(ssl, this.#context, { key, encrypt })
      this.#iv.bytes.set(iv)
    }

    get context(): Address {
      if (this.#context === 0) throw new Error('The cipher was freed')
      return this.#context
    }

    /** Sets this packet's IV and counts on to the next one (RFC 5647 section 7.1). */
    begin(): void {
      check(ssl.init(this.context, 0, 0, 0, this.#iv.address, -1), 'set an IV')
      const iv = this.#iv.bytes
      for (let at = 11; at >= 4; at -= 1) {
        const next = ((iv[at] ?? 0) + 1) & 0xff
        iv[at] = next
        if (next !== 0) break
      }
    }

    free(): void {
      if (this.#context !== 0) ssl.freeContext(this.#context)
      this.#context = 0
      this.#iv.bytes.fill(0)
    }
  }

  class AESGCMCipher extends Gcm implements PacketCipher {
    constructor(name: string, key: Buffer, iv: Buffer) {
      super(name, key, iv, true)
    }

    encrypt(packet: Buffer): void {
      const length = packet.length - 4 - tagLength
      if (length < 0) throw new Error('The packet is too short')
      const at = locate(packet)
      this.begin()
      const context = this.context
      check(ssl.update(context, 0, outLength.address, at, 4), 'authenticate the length')
      check(ssl.update(context, at + 4, outLength.address, at + 4, length), 'encrypt')
      check(ssl.final(context, scratch.address, outLength.address), 'finish a packet')
      check(ssl.control(context, gcm.getTag, tagLength, at + 4 + length), 'make a tag')
    }
  }

  class AESGCMDecipher extends Gcm implements PacketOpener {
    readonly tagLength = tagLength

    constructor(name: string, key: Buffer, iv: Buffer) {
      super(name, key, iv, false)
    }

    lengthAt(bytes: Buffer, at: number): number {
      return bytes.readUInt32BE(at)
    }

    openAt(bytes: Buffer, at: number, length: number): void {
      checkPacket(bytes, at, length, tagLength)
      const head = locate(bytes) + at
      const body = head + 4
      this.begin()
      const context = this.context
      check(ssl.update(context, 0, outLength.address, head, 4), 'authenticate the length')
      check(ssl.update(context, body, outLength.address, body, length), 'decrypt')
      check(ssl.control(context, gcm.setTag, tagLength, body + length), 'take a tag')
      if (ssl.final(context, scratch.address, outLength.address) !== 1) throw new Error('Invalid MAC')
    }
  }

  return { AESGCMCipher, AESGCMDecipher }
}
