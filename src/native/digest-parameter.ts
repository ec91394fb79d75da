import { pinnedBuffer } from './arena.ts'

/** Makes parameters that name a digest; each once, as everything that C was shown of it must live on. */
export function createDigestParameters(): (name: string) => DigestParameter {
  const digests = new Map<string, DigestParameter>()
  return (name) => {
    const known = digests.get(name) ?? digestParameter(name)
    digests.set(name, known)
    return known
  }
}

/** An OSSL_PARAM array that says `digest = name`; everything it points to lives as long as this. */
export interface DigestParameter {
  readonly address: number
  readonly keep: readonly Buffer[]
}

function digestParameter(name: string): DigestParameter {
  const key = pinnedBuffer(7)
  key.bytes.write('digest', 'latin1')
  const value = pinnedBuffer(name.length + 1)
  value.bytes.write(name, 'latin1')
  // Two records of five words: name, type, data, size, returned size; the second stays zero and ends the list.
  const list = pinnedBuffer(80)
  const utf8String = 4
  writeAddress(list.bytes, key.address, 0)
  writeNative32(list.bytes, utf8String, 8)
  writeAddress(list.bytes, value.address, 16)
  writeAddress(list.bytes, name.length, 24)
  return { address: list.address, keep: [key.bytes, value.bytes, list.bytes] }
}

/** A word of 64 bits in the machine's own order. Every machine that Node supports officially is little-endian but s390x. */
function writeAddress(bytes: Buffer, value: number, at: number): void {
  new BigUint64Array(bytes.buffer, bytes.byteOffset + at, 1)[0] = BigInt(value)
}

function writeNative32(bytes: Buffer, value: number, at: number): void {
  new Uint32Array(bytes.buffer, bytes.byteOffset + at, 1)[0] = value
}
