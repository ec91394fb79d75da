import { timingSafeEqual } from 'node:crypto'
import { pinnedBuffer } from './arena.ts'
import { addressOf, type ForeignLibrary } from './library.ts'

/** A pointer. */
export type Address = number

/** The OpenSSL functions, pointers as plain numbers: that halves the cost of a call and needs no view per call. */
export type OpenSsl = NonNullable<ReturnType<typeof openOpenSsl>>

/** Declares the functions; undefined where one is missing. */
export function openOpenSsl(library: ForeignLibrary) {
  if (!neededFunctions.every((name) => library.has(name))) return undefined
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

/** Where packet bytes lie. Packets are views on array buffers, which stay put for the length of a call. */
export function locate(bytes: Uint8Array): Address {
  // koffi takes the address of any view; a Buffer is one.
  return addressOf(bytes as Buffer)
}

/** Every function here answers 1 when it went well. */
export function check(result: number, what: string): void {
  if (result !== 1) throw new Error(`OpenSSL could not ${what}`)
}

/** Makes a context for a cipher, without a key. */
export function openContext(ssl: OpenSsl, name: string, encrypt: boolean): Address {
  const cipher = ssl.cipherByName(name)
  if (cipher === 0) throw new Error(`OpenSSL has no cipher "${name}"`)
  const context = ssl.newContext()
  if (context === 0) throw new Error('OpenSSL could not make a cipher context')
  check(ssl.init(context, cipher, 0, 0, 0, encrypt ? 1 : 0), `use the cipher "${name}"`)
  return context
}

/** What a context is given before it works. */
interface CipherKey {
  readonly key: Buffer
  readonly iv?: Buffer
  readonly encrypt: boolean
}

/** Sets the key, and the first IV where there is one; no copy of either is left. */
export function setKey(ssl: OpenSsl, context: Address, { key, iv, encrypt }: CipherKey): void {
  const keyCopy = pinnedBuffer(key.length)
  keyCopy.bytes.set(key)
  const ivCopy = iv && pinnedBuffer(iv.length)
  if (iv !== undefined) ivCopy?.bytes.set(iv)
  check(ssl.init(context, 0, 0, keyCopy.address, ivCopy?.address ?? 0, encrypt ? 1 : 0), 'set a key')
  keyCopy.bytes.fill(0)
  ivCopy?.bytes.fill(0)
}

/** Whether the tag of a packet is the right one, in constant time. */
export function sameTag(made: Buffer, given: Buffer, length: number): boolean {
  return given.length === length && timingSafeEqual(made.subarray(0, length), given)
}
