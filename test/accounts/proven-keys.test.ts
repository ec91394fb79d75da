import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createProvenKeys } from '../../src/accounts/proven-keys.ts'
import { parsePublicKey } from '../../src/accounts/public-key.ts'
import { writeStrings } from '../../src/accounts/wire-reader.ts'

function blobOf(): Buffer {
  const { publicKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
  return writeStrings('ssh-ed25519', raw)
}

describe('keys that were proved', () => {
  it('are what parsing gave, for these bytes and no others', () => {
    const keys = createProvenKeys()
    const [blob, other] = [blobOf(), blobOf()]
    const key = parsePublicKey(blob)
    expect(keys.find(blob)).toBeUndefined()
    keys.keep(key)
    expect(keys.find(blob)).toEqual(key)
    expect(keys.find(Buffer.from(blob))?.key).toBe(key.key)
    expect(keys.find(other)).toBeUndefined()
    expect(keys.find(blob.subarray(1))).toBeUndefined()
  })

  it('stay the same when the message that brought them is overwritten', () => {
    const keys = createProvenKeys()
    const [message, other] = [blobOf(), blobOf()]
    const blob = Buffer.from(message)
    const key = parsePublicKey(message)
    other.copy(message)
    keys.keep(key)
    expect(keys.find(other)).toBeUndefined()
    expect(keys.find(blob)?.blob).toEqual(blob)
    expect(keys.find(blob)?.fingerprint).toBe(parsePublicKey(blob).fingerprint)
  })

  it('are 512 at most, those that were used last', () => {
    const keys = createProvenKeys()
    const blobs = Array.from({ length: 513 }, blobOf)
    for (const blob of blobs.slice(0, 512)) keys.keep(parsePublicKey(blob))
    expect(keys.find(blobs[0]!)).toBeDefined()
    keys.keep(parsePublicKey(blobs[512]!))
    expect(keys.find(blobs[1]!)).toBeUndefined()
    expect(keys.find(blobs[0]!)).toBeDefined()
    expect(keys.find(blobs[512]!)).toBeDefined()
  })
})
