import { pinnedBuffer } from './arena.ts'
import { check, locate, openContext, setKey, type Address, type OpenSsl } from './openssl.ts'
import type { PacketCipher } from './packet-cipher.ts'

/** Opens AES-GCM packets; throws when the tag does not fit. */
export interface GcmDecipher {
  decrypt(body: Uint8Array, length: number, tag: Buffer): void
  free(): void
}

/** Both directions, as classes. */
export interface GcmCiphers {
  readonly AESGCMCipher: new (name: string, key: Buffer, iv: Buffer) => PacketCipher
  readonly AESGCMDecipher: new (name: string, key: Buffer, iv: Buffer) => GcmDecipher
}

const gcm = { setIvLength: 9, getTag: 16, setTag: 17 } as const
const tagLength = 16

/** AES-GCM for packets (RFC 5647): the length in clear and authenticated. */
export function createGcmCiphers(ssl: OpenSsl): GcmCiphers {
  // Scratch that every call overwrites before it reads it; JavaScript runs one call at a time.
  const outLength = pinnedBuffer(8)
  const scratch = pinnedBuffer(64)
  const lengthBytes = pinnedBuffer(4)

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

  class AESGCMDecipher extends Gcm implements GcmDecipher {
    constructor(name: string, key: Buffer, iv: Buffer) {
      super(name, key, iv, false)
    }

    decrypt(body: Uint8Array, length: number, tag: Buffer): void {
      if (body.length !== length || tag.length !== tagLength) throw new Error('The packet has a wrong length')
      const at = locate(body)
      this.begin()
      const context = this.context
      lengthBytes.bytes.writeUInt32BE(length)
      check(ssl.update(context, 0, outLength.address, lengthBytes.address, 4), 'authenticate the length')
      check(ssl.update(context, at, outLength.address, at, length), 'decrypt')
      check(ssl.control(context, gcm.setTag, tagLength, locate(tag)), 'take a tag')
      if (ssl.final(context, scratch.address, outLength.address) !== 1) throw new Error('Invalid MAC')
    }
  }

  return { AESGCMCipher, AESGCMDecipher }
}
