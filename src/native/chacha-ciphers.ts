import { pinnedBuffer } from './arena.ts'
import { check, locate, openContext, sameTag, setKey, type Address, type OpenSsl } from './openssl.ts'
import { checkPacket, type PacketCipher, type PacketOpener } from './packet-cipher.ts'

/** Both directions, as classes. */
export interface ChaChaCiphers {
  readonly ChaChaPolyCipher: new (key: Buffer) => PacketCipher
  readonly ChaChaPolyDecipher: new (key: Buffer) => PacketOpener
}

const tagLength = 16

/** chacha20-poly1305@openssh.com (PROTOCOL.chacha20poly1305): the length under a key of its own. */
export function createChaChaCiphers(ssl: OpenSsl): ChaChaCiphers {
  // Scratch that every call overwrites before it reads it; JavaScript runs one call at a time.
  const outLength = pinnedBuffer(8)
  const scratch = pinnedBuffer(64)
  const zeros = pinnedBuffer(64)
  const poly1305 = ssl.fetchMac(0, 'POLY1305', 0)
  if (poly1305 === 0) throw new Error('OpenSSL has no POLY1305')

  /** What both directions of chacha20-poly1305@openssh.com share: one stream for bodies, one for lengths. */
  class ChaCha {
    #body: Address
    #head: Address
    #mac: Address
    readonly #counter = pinnedBuffer(16)
    /** The first block of the body's stream: the key of this packet's MAC, and 32 bytes that nobody uses. */
    readonly #first = pinnedBuffer(64)

    constructor(key: Buffer) {
      if (key.length !== 64) throw new Error('ChaCha20-Poly1305 needs a key of 64 bytes')
      // The stream is its own inverse, and newer OpenSSL refuses a context that changes its direction.
      this.#body = openContext(ssl, 'chacha20', true)
      this.#head = openContext(ssl, 'chacha20', true)
      this.#mac = ssl.newMac(poly1305)
      setKey(ssl, this.#body, { key: key.subarray(0, 32), encrypt: true })
      setKey(ssl, this.#head, { key: key.subarray(32), encrypt: true })
    }

    /** Makes this packet's MAC key; the body's stream then stands at its second block, where the body begins. */
    begin(sequence: number): void {
      this.#check()
      this.#counter.bytes.writeUInt32BE(sequence, 12)
      check(ssl.init(this.#body, 0, 0, 0, this.#counter.address, -1), 'set a nonce')
      check(
        ssl.update(this.#body, this.#first.address, outLength.address, zeros.address, 64),
        'make the key of a MAC',
      )
      check(ssl.initMac(this.#mac, this.#first.address, 32, 0), 'start a MAC')
    }

    head(sequence: number, into: Address, from: Address): void {
      this.#check()
      this.#counter.bytes.writeUInt32BE(sequence, 12)
      check(ssl.init(this.#head, 0, 0, 0, this.#counter.address, -1), 'set a nonce')
      check(ssl.update(this.#head, into, outLength.address, from, 4), 'encrypt a length')
    }

    body(at: Address, length: number): void {
      check(ssl.update(this.#body, at, outLength.address, at, length), 'encrypt')
    }

    authenticate(at: Address, length: number): void {
      check(ssl.updateMac(this.#mac, at, length), 'authenticate')
    }

    tag(into: Address): void {
      check(ssl.finalMac(this.#mac, into, outLength.address, tagLength), 'make a tag')
    }

    free(): void {
      if (this.#body === 0) return
      ssl.freeContext(this.#body)
      ssl.freeContext(this.#head)
      ssl.freeMac(this.#mac)
      this.#body = this.#head = this.#mac = 0
      this.#first.bytes.fill(0)
    }

    #check(): void {
      if (this.#body === 0) throw new Error('The cipher was freed')
    }
  }

  class ChaChaPolyCipher extends ChaCha implements PacketCipher {
    encrypt(packet: Buffer, sequence: number): void {
      const length = packet.length - 4 - tagLength
      if (length < 0) throw new Error('The packet is too short')
      const at = locate(packet)
      this.begin(sequence)
      this.head(sequence, at, at)
      this.body(at + 4, length)
      this.authenticate(at, length + 4)
      this.tag(at + 4 + length)
    }
  }

  class ChaChaPolyDecipher extends ChaCha implements PacketOpener {
    readonly tagLength = tagLength

    lengthAt(bytes: Buffer, at: number, sequence: number): number {
      checkPacket(bytes, at, 0, 0)
      this.head(sequence, scratch.address, locate(bytes) + at)
      return scratch.bytes.readUInt32BE(0)
    }

    openAt(bytes: Buffer, at: number, length: number, sequence: number): void {
      checkPacket(bytes, at, length, tagLength)
      const head = locate(bytes) + at
      const tagAt = at + 4 + length
      this.begin(sequence)
      this.authenticate(head, 4 + length)
      this.tag(scratch.address)
      if (!sameTag(scratch.bytes, bytes.subarray(tagAt, tagAt + tagLength), tagLength))
        throw new Error('Invalid MAC')
      this.body(head + 4, length)
    }
  }

  return { ChaChaPolyCipher, ChaChaPolyDecipher }
}
