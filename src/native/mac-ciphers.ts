import { pinnedBuffer } from './arena.ts'
import { createDigestParameters } from './digest-parameter.ts'
import { check, locate, openContext, sameTag, setKey, type Address, type OpenSsl } from './openssl.ts'
import { checkPacket, type PacketCipher, type PacketOpener } from './packet-cipher.ts'

/** Opens packets of a cipher with a MAC beside it; as a `PacketOpener` only those with the MAC over what was encrypted. */
export interface MacDecipher extends PacketOpener {
  /** Decrypts the first bytes in place, so that the length can be read; only where the length is encrypted. */
  decryptBlock(block: Buffer): void
  decrypt(body: Uint8Array, sequence: number, block: Buffer, mac: Buffer): void
}

/** Both directions, as classes. */
export interface MacCiphers {
  readonly GenericCipher: new (
    ...parameters: [name: string, key: Buffer, iv: Buffer, macName: string, macKey: Buffer, etm: boolean]
  ) => PacketCipher
  readonly GenericDecipher: new (
    ...parameters: [
      name: string,
      key: Buffer,
      iv: Buffer,
      macName: string,
      macKey: Buffer,
      etm: boolean,
      macLength: number,
    ]
  ) => MacDecipher
}

/** Ciphers with an HMAC beside them, before or after the encryption. */
export function createMacCiphers(ssl: OpenSsl): MacCiphers {
  // Scratch that every call overwrites before it reads it; JavaScript runs one call at a time.
  const outLength = pinnedBuffer(8)
  const scratch = pinnedBuffer(64)
  const sequenceBytes = pinnedBuffer(4)
  const digestOf = createDigestParameters()
  const hmac = ssl.fetchMac(0, 'HMAC', 0)
  if (hmac === 0) throw new Error('OpenSSL has no HMAC')

  /** A block or stream cipher with an HMAC: both contexts live as long as the keys. */
  class CipherWithMac {
    #cipher: Address
    #mac: Address

    constructor(name: string, key: Buffer, iv: Buffer, macName: string, macKey: Buffer, encrypt: boolean) {
      this.#cipher = openContext(ssl, name, encrypt)
      setKey(ssl, this.#cipher, { key, iv, encrypt })
      check(ssl.setPadding(this.#cipher, 0), 'switch padding off')
      this.#mac = ssl.newMac(hmac)
      const parameters = digestOf(macName)
      const keyCopy = pinnedBuffer(macKey.length)
      keyCopy.bytes.set(macKey)
      check(
        ssl.initMac(this.#mac, keyCopy.address, macKey.length, parameters.address),
        `use an HMAC of ${macName}`,
      )
      keyCopy.bytes.fill(0)
    }

    run(at: Address, length: number): void {
      if (this.#cipher === 0) throw new Error('The cipher was freed')
      if (length > 0) check(ssl.update(this.#cipher, at, outLength.address, at, length), 'run the cipher')
    }

    beginMac(sequence: number): void {
      if (this.#cipher === 0) throw new Error('The cipher was freed')
      sequenceBytes.bytes.writeUInt32BE(sequence)
      check(ssl.initMac(this.#mac, 0, 0, 0), 'start a MAC') // the same key again
      check(ssl.updateMac(this.#mac, sequenceBytes.address, 4), 'authenticate')
    }

    authenticate(at: Address, length: number): void {
      check(ssl.updateMac(this.#mac, at, length), 'authenticate')
    }

    tag(into: Address, room: number): void {
      check(ssl.finalMac(this.#mac, into, outLength.address, room), 'make a tag')
    }

    free(): void {
      if (this.#cipher === 0) return
      ssl.freeContext(this.#cipher)
      ssl.freeMac(this.#mac)
      this.#cipher = this.#mac = 0
    }
  }

  class GenericCipher extends CipherWithMac implements PacketCipher {
    readonly #etm: boolean
    readonly #macLength: number

    constructor(name: string, key: Buffer, iv: Buffer, macName: string, macKey: Buffer, etm: boolean) {
      super(name, key, iv, macName, macKey, true)
      this.#etm = etm
      this.#macLength = macKey.length // the key of an SSH HMAC is as long as its output
    }

    encrypt(packet: Buffer, sequence: number): void {
      const length = packet.length - this.#macLength
      if (length < 4) throw new Error('The packet is too short')
      const at = locate(packet)
      if (this.#etm) {
        this.run(at + 4, length - 4)
        this.beginMac(sequence)
        this.authenticate(at, length)
        this.tag(at + length, this.#macLength)
        return
      }
      this.beginMac(sequence)
      this.authenticate(at, length)
      this.tag(at + length, this.#macLength)
      this.run(at, length)
    }
  }

  class GenericDecipher extends CipherWithMac implements MacDecipher {
    readonly #etm: boolean
    readonly tagLength: number

    constructor(
      name: string,
      key: Buffer,
      iv: Buffer,
      macName: string,
      macKey: Buffer,
      etm: boolean,
      macLength: number,
    ) {
      super(name, key, iv, macName, macKey, false)
      this.#etm = etm
      this.tagLength = macLength
    }

    decryptBlock(block: Buffer): void {
      this.run(locate(block), block.length)
    }

    decrypt(body: Uint8Array, sequence: number, block: Buffer, mac: Buffer): void {
      const at = locate(body)
      // Without etm the first block came in with the length and is decrypted already.
      const done = this.#etm ? 0 : block.length - 4
      if (done > body.length) throw new Error('The packet is too short')
      if (!this.#etm) this.run(at + done, body.length - done)
      this.beginMac(sequence)
      this.authenticate(locate(block), 4)
      this.authenticate(at, body.length)
      this.tag(scratch.address, scratch.bytes.length)
      if (!sameTag(scratch.bytes, mac, this.tagLength)) throw new Error('Invalid MAC')
      if (this.#etm) this.run(at, body.length)
    }

    lengthAt(bytes: Buffer, at: number): number {
      return bytes.readUInt32BE(at)
    }

    openAt(bytes: Buffer, at: number, length: number, sequence: number): void {
      if (!this.#etm) throw new Error('The length is not to be had before its MAC')
      checkPacket(bytes, at, length, this.tagLength)
      const head = locate(bytes) + at
      const tagAt = at + 4 + length
      this.beginMac(sequence)
      this.authenticate(head, 4 + length)
      this.tag(scratch.address, scratch.bytes.length)
      if (!sameTag(scratch.bytes, bytes.subarray(tagAt, tagAt + this.tagLength), this.tagLength))
        throw new Error('Invalid MAC')
      this.run(head + 4, length)
    }
  }

  return { GenericCipher, GenericDecipher }
}
