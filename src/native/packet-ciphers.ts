import { timingSafeEqual } from 'node:crypto'
import { addressOf, native, type Native } from './library.ts'

/**
 * Packet ciphers over the process's own OpenSSL, in place, without a compiler.
 *
 * The six classes have the shape of the binding that the SSH library would compile: a packet is a length of four
 * bytes, a body, and room for the tag behind it. Undefined where there is no native code or a function is missing.
 */
export function nativePacketCiphers(from: Native = native()): PacketCiphers | undefined {
  if (!from.works || from.crypto === undefined) return undefined
  const library = from.crypto
  if (!neededFunctions.every((name) => library.has(name))) return undefined
  return createPacketCiphers(openOpenSsl(library))
}

/** The classes by the names under which the SSH library looks for them. */
export interface PacketCiphers {
  readonly AESGCMCipher: new (name: string, key: Buffer, iv: Buffer) => PacketCipher
  readonly AESGCMDecipher: new (name: string, key: Buffer, iv: Buffer) => GcmDecipher
  readonly ChaChaPolyCipher: new (key: Buffer) => PacketCipher
  readonly ChaChaPolyDecipher: new (key: Buffer) => ChaChaDecipher
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
  ) => GenericDecipher
}

/** Encrypts packets one after another. */
export interface PacketCipher {
  /** Encrypts the packet in place and writes its tag into the room at its end. */
  encrypt(packet: Buffer, sequence: number): void
  free(): void
}

/** Opens AES-GCM packets; throws when the tag does not fit. */
export interface GcmDecipher {
  decrypt(body: Uint8Array, length: number, tag: Buffer): void
  free(): void
}

/** Opens ChaCha20-Poly1305 packets: first the length, then the body. */
export interface ChaChaDecipher {
  decryptLen(lengthBytes: Buffer, sequence: number): number
  decrypt(body: Uint8Array, mac: Buffer, sequence: number): void
  free(): void
}

/** Opens packets of a cipher with a MAC beside it. */
export interface GenericDecipher {
  /** Decrypts the first bytes in place, so that the length can be read; only where the length is encrypted. */
  decryptBlock(block: Buffer): void
  decrypt(body: Uint8Array, sequence: number, block: Buffer, mac: Buffer): void
  free(): void
}

const neededFunctions = [
  'EVP_CIPHER_CTX_new',
  'EVP_CIPHER_CTX_free',
  'EVP_CIPHER_CTX_ctrl',
  'EVP_CIPHER_CTX_set_padding',
  'EVP_get_cipherbyname',
  'EVP_CipherInit_ex',
  'EVP_CipherUpdate',
  'EVP_CipherFinal_ex',
  'EVP_MAC_fetch',
  'EVP_MAC_CTX_new',
  'EVP_MAC_CTX_free',
  'EVP_MAC_init',
  'EVP_MAC_update',
  'EVP_MAC_final',
]

const gcm = { setIvLength: 9, getTag: 16, setTag: 17 } as const
const tagLength = 16

type Address = number

/** The OpenSSL functions, pointers as plain numbers: that halves the cost of a call and needs no view per call. */
type OpenSsl = ReturnType<typeof openOpenSsl>

function openOpenSsl(library: Extract<Native, { works: true }>['libc']) {
  return {
    newContext: library.declare<() => Address>('uint64_t EVP_CIPHER_CTX_new()'),
    freeContext: library.declare<(context: Address) => void>('void EVP_CIPHER_CTX_free(uint64_t c)'),
    control: library.declare<(context: Address, what: number, n: number, data: Address) => number>(
      'int EVP_CIPHER_CTX_ctrl(uint64_t c, int t, int n, uint64_t p)',
    ),
    setPadding: library.declare<(context: Address, on: number) => number>(
      'int EVP_CIPHER_CTX_set_padding(uint64_t c, int on)',
    ),
    cipherByName: library.declare<(name: string) => Address>(
      'uint64_t EVP_get_cipherbyname(const char *name)',
    ),
    init: library.declare<
      (c: Address, type: Address, engine: Address, key: Address, iv: Address, encrypt: number) => number
    >('int EVP_CipherInit_ex(uint64_t c, uint64_t t, uint64_t e, uint64_t k, uint64_t iv, int enc)'),
    update: library.declare<
      (c: Address, out: Address, outLength: Address, input: Address, length: number) => number
    >('int EVP_CipherUpdate(uint64_t c, uint64_t o, uint64_t ol, uint64_t i, int n)'),
    final: library.declare<(context: Address, out: Address, outLength: Address) => number>(
      'int EVP_CipherFinal_ex(uint64_t c, uint64_t o, uint64_t ol)',
    ),
    fetchMac: library.declare<(context: Address, name: string, properties: Address) => Address>(
      'uint64_t EVP_MAC_fetch(uint64_t ctx, const char *name, uint64_t props)',
    ),
    newMac: library.declare<(mac: Address) => Address>('uint64_t EVP_MAC_CTX_new(uint64_t m)'),
    freeMac: library.declare<(context: Address) => void>('void EVP_MAC_CTX_free(uint64_t m)'),
    initMac: library.declare<(m: Address, key: Address, length: number, parameters: Address) => number>(
      'int EVP_MAC_init(uint64_t m, uint64_t k, size_t n, uint64_t p)',
    ),
    updateMac: library.declare<(m: Address, data: Address, length: number) => number>(
      'int EVP_MAC_update(uint64_t m, uint64_t d, size_t n)',
    ),
    finalMac: library.declare<(m: Address, out: Address, outLength: Address, size: number) => number>(
      'int EVP_MAC_final(uint64_t m, uint64_t o, uint64_t ol, size_t n)',
    ),
  }
}

/** Memory that C may look at for as long as this lives: never moved, never in a pool. */
function pinned(length: number): { readonly bytes: Buffer; readonly at: Address } {
  const bytes = Buffer.allocUnsafeSlow(length)
  bytes.fill(0)
  return { bytes, at: addressOf(bytes) }
}

/** Where packet bytes lie. Packets are views on array buffers, which stay put for the length of a call. */
function locate(bytes: Uint8Array): Address {
  // koffi takes the address of any view; a Buffer is one.
  return addressOf(bytes as Buffer)
}

function check(result: number, what: string): void {
  if (result !== 1) throw new Error(`OpenSSL could not ${what}`)
}

function createPacketCiphers(ssl: OpenSsl): PacketCiphers {
  // Scratch that every call overwrites before it reads it; JavaScript runs one call at a time.
  const outLength = pinned(8)
  const scratch = pinned(64)
  const sequenceBytes = pinned(4)
  const poly1305 = ssl.fetchMac(0, 'POLY1305', 0)
  const hmac = ssl.fetchMac(0, 'HMAC', 0)
  if (poly1305 === 0 || hmac === 0) throw new Error('OpenSSL has no POLY1305 or HMAC')

  const digests = new Map<string, DigestParameter>()
  const digestOf = (name: string): DigestParameter => {
    const known = digests.get(name) ?? digestParameter(name)
    digests.set(name, known)
    return known
  }

  function openContext(name: string, encrypt: boolean): Address {
    const cipher = ssl.cipherByName(name)
    if (cipher === 0) throw new Error(`OpenSSL has no cipher "${name}"`)
    const context = ssl.newContext()
    if (context === 0) throw new Error('OpenSSL could not make a cipher context')
    check(ssl.init(context, cipher, 0, 0, 0, encrypt ? 1 : 0), `use the cipher "${name}"`)
    return context
  }

  function setKey(context: Address, key: Buffer, iv: Buffer | undefined, encrypt: boolean): void {
    const keyCopy = pinned(key.length)
    keyCopy.bytes.set(key)
    const ivCopy = iv === undefined ? undefined : pinned(iv.length)
    if (iv !== undefined) ivCopy?.bytes.set(iv)
    check(ssl.init(context, 0, 0, keyCopy.at, ivCopy?.at ?? 0, encrypt ? 1 : 0), 'set a key')
    keyCopy.bytes.fill(0)
    ivCopy?.bytes.fill(0)
  }

  /** What both directions of AES-GCM share: one context for the life of the key, the counter in our own memory. */
  class Gcm {
    #context: Address
    readonly #iv = pinned(12)

    constructor(name: string, key: Buffer, iv: Buffer, encrypt: boolean) {
      if (iv.length !== 12) throw new Error('AES-GCM needs an IV of 12 bytes')
      this.#context = openContext(name, encrypt)
      check(ssl.control(this.#context, gcm.setIvLength, 12, 0), 'set the length of the IV')
      setKey(this.#context, key, undefined, encrypt)
      this.#iv.bytes.set(iv)
    }

    get context(): Address {
      if (this.#context === 0) throw new Error('The cipher was freed')
      return this.#context
    }

    /** Sets this packet's IV and counts on to the next one (RFC 5647 section 7.1). */
    begin(): void {
      check(ssl.init(this.context, 0, 0, 0, this.#iv.at, -1), 'set an IV')
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
      check(ssl.update(context, 0, outLength.at, at, 4), 'authenticate the length')
      check(ssl.update(context, at + 4, outLength.at, at + 4, length), 'encrypt')
      check(ssl.final(context, scratch.at, outLength.at), 'finish a packet')
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
      sequenceBytes.bytes.writeUInt32BE(length)
      check(ssl.update(context, 0, outLength.at, sequenceBytes.at, 4), 'authenticate the length')
      check(ssl.update(context, at, outLength.at, at, length), 'decrypt')
      check(ssl.control(context, gcm.setTag, tagLength, locate(tag)), 'take a tag')
      if (ssl.final(context, scratch.at, outLength.at) !== 1) throw new Error('Invalid MAC')
    }
  }

  /** What both directions of chacha20-poly1305@openssh.com share: one stream for bodies, one for lengths. */
  class ChaCha {
    #body: Address
    #head: Address
    #mac: Address
    readonly #counter = pinned(16)
    /** The first block of the body's stream: the key of this packet's MAC, and 32 bytes that nobody uses. */
    readonly #first = pinned(64)

    constructor(key: Buffer) {
      if (key.length !== 64) throw new Error('ChaCha20-Poly1305 needs a key of 64 bytes')
      // The stream is its own inverse, and newer OpenSSL refuses a context that changes its direction.
      this.#body = openContext('chacha20', true)
      this.#head = openContext('chacha20', true)
      this.#mac = ssl.newMac(poly1305)
      setKey(this.#body, key.subarray(0, 32), undefined, true)
      setKey(this.#head, key.subarray(32), undefined, true)
    }

    /** Makes this packet's MAC key; the body's stream then stands at its second block, where the body begins. */
    begin(sequence: number): void {
      this.#check()
      this.#counter.bytes.writeUInt32BE(sequence, 12)
      check(ssl.init(this.#body, 0, 0, 0, this.#counter.at, -1), 'set a nonce')
      check(ssl.update(this.#body, this.#first.at, outLength.at, zeros.at, 64), 'make the key of a MAC')
      check(ssl.initMac(this.#mac, this.#first.at, 32, 0), 'start a MAC')
    }

    head(sequence: number, into: Address, from: Address): void {
      this.#check()
      this.#counter.bytes.writeUInt32BE(sequence, 12)
      check(ssl.init(this.#head, 0, 0, 0, this.#counter.at, -1), 'set a nonce')
      check(ssl.update(this.#head, into, outLength.at, from, 4), 'encrypt a length')
    }

    body(at: Address, length: number): void {
      check(ssl.update(this.#body, at, outLength.at, at, length), 'encrypt')
    }

    authenticate(at: Address, length: number): void {
      check(ssl.updateMac(this.#mac, at, length), 'authenticate')
    }

    tag(into: Address): void {
      check(ssl.finalMac(this.#mac, into, outLength.at, tagLength), 'make a tag')
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

  const zeros = pinned(64)

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

  class ChaChaPolyDecipher extends ChaCha implements ChaChaDecipher {
    readonly #sealedLength = pinned(4)

    decryptLen(lengthBytes: Buffer, sequence: number): number {
      if (lengthBytes.length < 4) throw new Error('The length is too short')
      this.#sealedLength.bytes.set(lengthBytes.subarray(0, 4))
      this.head(sequence, scratch.at, this.#sealedLength.at)
      return scratch.bytes.readUInt32BE(0)
    }

    decrypt(body: Uint8Array, mac: Buffer, sequence: number): void {
      const at = locate(body)
      this.begin(sequence)
      this.authenticate(this.#sealedLength.at, 4)
      this.authenticate(at, body.length)
      this.tag(scratch.at)
      if (!sameBytes(scratch.bytes, mac, tagLength)) throw new Error('Invalid MAC')
      this.body(at, body.length)
    }
  }

  /** A block or stream cipher with an HMAC: both contexts live as long as the keys. */
  class CipherWithMac {
    #cipher: Address
    #mac: Address

    constructor(name: string, key: Buffer, iv: Buffer, macName: string, macKey: Buffer, encrypt: boolean) {
      this.#cipher = openContext(name, encrypt)
      setKey(this.#cipher, key, iv, encrypt)
      check(ssl.setPadding(this.#cipher, 0), 'switch padding off')
      this.#mac = ssl.newMac(hmac)
      const parameters = digestOf(macName)
      const keyCopy = pinned(macKey.length)
      keyCopy.bytes.set(macKey)
      check(ssl.initMac(this.#mac, keyCopy.at, macKey.length, parameters.at), `use an HMAC of ${macName}`)
      keyCopy.bytes.fill(0)
    }

    run(at: Address, length: number): void {
      if (this.#cipher === 0) throw new Error('The cipher was freed')
      if (length > 0) check(ssl.update(this.#cipher, at, outLength.at, at, length), 'run the cipher')
    }

    beginMac(sequence: number): void {
      if (this.#cipher === 0) throw new Error('The cipher was freed')
      sequenceBytes.bytes.writeUInt32BE(sequence)
      check(ssl.initMac(this.#mac, 0, 0, 0), 'start a MAC') // the same key again
      check(ssl.updateMac(this.#mac, sequenceBytes.at, 4), 'authenticate')
    }

    authenticate(at: Address, length: number): void {
      check(ssl.updateMac(this.#mac, at, length), 'authenticate')
    }

    tag(into: Address, room: number): void {
      check(ssl.finalMac(this.#mac, into, outLength.at, room), 'make a tag')
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

  class GenericDecipher extends CipherWithMac {
    readonly #etm: boolean
    readonly #macLength: number

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
      this.#macLength = macLength
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
      this.tag(scratch.at, scratch.bytes.length)
      if (!sameBytes(scratch.bytes, mac, this.#macLength)) throw new Error('Invalid MAC')
      if (this.#etm) this.run(at, body.length)
    }
  }

  return {
    AESGCMCipher,
    AESGCMDecipher,
    ChaChaPolyCipher,
    ChaChaPolyDecipher,
    GenericCipher,
    GenericDecipher,
  }
}

function sameBytes(made: Buffer, given: Buffer, length: number): boolean {
  return given.length === length && timingSafeEqual(made.subarray(0, length), given)
}

/** An OSSL_PARAM array that says `digest = name`; everything it points to lives as long as this. */
interface DigestParameter {
  readonly at: Address
  readonly keep: readonly Buffer[]
}

function digestParameter(name: string): DigestParameter {
  const key = pinned(7)
  key.bytes.write('digest', 'latin1')
  const value = pinned(name.length + 1)
  value.bytes.write(name, 'latin1')
  // Two records of five words: name, type, data, size, returned size; the second stays zero and ends the list.
  const list = pinned(80)
  const utf8String = 4
  writeAddress(list.bytes, key.at, 0)
  writeNative32(list.bytes, utf8String, 8)
  writeAddress(list.bytes, value.at, 16)
  writeAddress(list.bytes, name.length, 24)
  return { at: list.at, keep: [key.bytes, value.bytes, list.bytes] }
}

/** A word of 64 bits in the machine's own order. Every machine that Node supports officially is little-endian but s390x. */
function writeAddress(bytes: Buffer, value: number, at: number): void {
  new BigUint64Array(bytes.buffer, bytes.byteOffset + at, 1)[0] = BigInt(value)
}

function writeNative32(bytes: Buffer, value: number, at: number): void {
  new Uint32Array(bytes.buffer, bytes.byteOffset + at, 1)[0] = value
}
