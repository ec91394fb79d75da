import { poly1305 } from '@noble/ciphers/_poly1305.js'
import { createCipheriv, createHmac, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { findNative } from '../../src/native/library.ts'
import { nativePacketCiphers } from '../../src/native/packet-ciphers.ts'

const ciphers = nativePacketCiphers(findNative({}))
const sizes = [0, 1, 4, 12, 28, 60, 1000, 32_776]

describe.skipIf(ciphers === undefined)('packet ciphers over OpenSSL (needs koffi)', () => {
  const made = ciphers!

  for (const [name, keyLength] of [
    ['aes-128-gcm', 16],
    ['aes-256-gcm', 32],
  ] as const) {
    it(`encrypts ${name} packets as Node's own cipher does, packet after packet`, () => {
      const key = randomBytes(keyLength)
      const iv = Buffer.concat([randomBytes(4), Buffer.from('fffffffffffffffd', 'hex')])
      const native = new made.AESGCMCipher(name, key, iv)
      const plain = plainGcm(name, key, iv)
      for (const size of sizes) {
        const packet = somePacket(size, 16)
        const expected = plain(packet)
        native.encrypt(packet, 0)
        expect(packet.equals(expected), `${size} bytes`).toBe(true)
      }
      native.free()
    })

    it(`opens ${name} packets and refuses a changed one`, () => {
      const key = randomBytes(keyLength)
      const iv = randomBytes(12)
      const plain = plainGcm(name, key, iv)
      const native = new made.AESGCMDecipher(name, key, iv)
      for (const size of sizes) {
        const clear = somePacket(size, 16)
        const sealed = Buffer.concat([Buffer.alloc(3), plain(clear)])
        expect(native.lengthAt(sealed, 3, 0)).toBe(size)
        native.openAt(sealed, 3, size, 0)
        expect(sealed.subarray(3, -16).equals(clear.subarray(0, -16)), `${size} bytes`).toBe(true)
      }
      const sealed = plain(somePacket(32, 16))
      sealed[8]! ^= 1
      expect(() => native.openAt(sealed, 0, 32, 0)).toThrow('Invalid MAC')
      expect(() => native.openAt(sealed, 0, 33, 0)).toThrow('too short')
      native.free()
      expect(() => native.openAt(sealed, 0, 32, 0)).toThrow('freed')
    })
  }

  it('encrypts chacha20-poly1305 packets as a plain implementation does', () => {
    const key = randomBytes(64)
    const native = new made.ChaChaPolyCipher(key)
    for (const [index, size] of sizes.entries()) {
      const sequence = (4_294_967_292 + index) >>> 0
      const packet = somePacket(size, 16)
      const expected = plainChaCha(key, packet, sequence)
      native.encrypt(packet, sequence)
      expect(packet.equals(expected), `${size} bytes`).toBe(true)
    }
    native.free()
  })

  it('opens chacha20-poly1305 packets, length first, and refuses a changed one', () => {
    const key = randomBytes(64)
    const native = new made.ChaChaPolyDecipher(key)
    for (const [index, size] of sizes.entries()) {
      const clear = somePacket(size, 16)
      const sealed = Buffer.concat([Buffer.alloc(3), plainChaCha(key, clear, index)])
      expect(native.lengthAt(sealed, 3, index)).toBe(size)
      native.openAt(sealed, 3, size, index)
      expect(sealed.subarray(7, -16).equals(clear.subarray(4, -16))).toBe(true)
    }
    const sealed = plainChaCha(key, somePacket(40, 16), 9)
    sealed[20]! ^= 1
    expect(() => native.openAt(sealed, 0, 40, 9)).toThrow('Invalid MAC')
    expect(() => native.openAt(sealed, 0, 41, 9)).toThrow('too short')
    expect(() => native.lengthAt(sealed, sealed.length - 3, 9)).toThrow('too short')
    native.free()
  })

  for (const [cipher, keyLength] of [
    ['aes-128-ctr', 16],
    ['aes-256-ctr', 32],
    ['aes-256-cbc', 32],
  ] as const) {
    for (const [mac, macLength, usedLength] of [
      ['sha256', 32, 32],
      ['sha512', 64, 64],
      ['sha1', 20, 12],
    ] as const) {
      for (const etm of [true, false]) {
        it(`runs ${cipher} with ${etm ? 'an etm' : 'a plain'} HMAC of ${mac} both ways as Node does`, () => {
          const key = randomBytes(keyLength)
          const iv = randomBytes(16)
          const macKey = randomBytes(macLength)
          const out = new made.GenericCipher(cipher, key, iv, mac, macKey, etm)
          const back = new made.GenericDecipher(cipher, key, iv, mac, macKey, etm, usedLength)
          const inPlace = new made.GenericDecipher(cipher, key, iv, mac, macKey, etm, usedLength)
          const plain = createCipheriv(cipher, key, iv).setAutoPadding(false)
          for (const [sequence, size] of [16, 48, 1024, 32_784].entries()) {
            const length = etm ? size : size - 4 // what is encrypted is a whole number of blocks
            const clear = somePacket(length, macLength)
            const packet = Buffer.from(clear)
            out.encrypt(packet, sequence)
            const sealedBody = plain.update(clear.subarray(etm ? 4 : 0, clear.length - macLength))
            const sealed = etm ? Buffer.concat([clear.subarray(0, 4), sealedBody]) : sealedBody
            const tag = createHmac(mac, macKey)
              .update(Buffer.from([0, 0, 0, sequence]))
              .update(etm ? sealed : clear.subarray(0, clear.length - macLength))
              .digest()
            expect(packet.equals(Buffer.concat([sealed, tag]))).toBe(true)

            const block = Buffer.from(packet.subarray(0, etm || cipher.endsWith('ctr') ? 4 : 16))
            const body = Buffer.from(packet.subarray(4, packet.length - macLength))
            if (!etm) {
              back.decryptBlock(block)
              block.copy(body, 0, 4)
            }
            back.decrypt(body, sequence, block, Buffer.from(tag.subarray(0, usedLength)))
            expect(body.equals(clear.subarray(4, clear.length - macLength))).toBe(true)

            const received = Buffer.concat([packet.subarray(0, -macLength), tag.subarray(0, usedLength)])
            const open = (): void =>
              inPlace.openAt(received, 0, inPlace.lengthAt(received, 0, sequence), sequence)
            if (!etm) {
              expect(open).toThrow('before its MAC')
              continue
            }
            open()
            expect(received.subarray(0, -usedLength).equals(clear.subarray(0, -macLength))).toBe(true)
          }
          if (etm) expect(() => inPlace.openAt(randomBytes(200), 0, 64, 9)).toThrow('Invalid MAC')
          expect(() => back.decrypt(randomBytes(64), 9, randomBytes(4), randomBytes(usedLength))).toThrow(
            'Invalid MAC',
          )
          out.free()
          back.free()
          inPlace.free()
          out.free()
        })
      }
    }
  }

  it('refuses packets without room for a tag, and ciphers that OpenSSL does not have', () => {
    const native = new made.AESGCMCipher('aes-128-gcm', randomBytes(16), randomBytes(12))
    expect(() => native.encrypt(Buffer.alloc(10), 0)).toThrow('too short')
    expect(() => new made.AESGCMCipher('no-such-cipher', randomBytes(16), randomBytes(12))).toThrow(
      'no cipher "no-such-cipher"',
    )
    native.free()
  })

  it('gives memory back when ciphers are freed', () => {
    const before = process.memoryUsage().rss
    for (let round = 0; round < 20_000; round += 1) {
      const native = new made.AESGCMCipher('aes-128-gcm', Buffer.alloc(16), Buffer.alloc(12))
      native.free()
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
  })
})

it('is not there when native code is switched off', () => {
  expect(nativePacketCiphers(findNative({ SFTPGO_TS_NATIVE: '0' }))).toBeUndefined()
})

function somePacket(bodyLength: number, tagRoom: number): Buffer {
  const packet = randomBytes(4 + bodyLength + tagRoom)
  packet.writeUInt32BE(bodyLength)
  packet.fill(0, 4 + bodyLength)
  return packet
}

/** RFC 5647 with Node's cipher, a new one for each packet. */
function plainGcm(name: 'aes-128-gcm' | 'aes-256-gcm', key: Buffer, firstIv: Buffer) {
  let counter = firstIv.readBigUInt64BE(4)
  return (packet: Buffer): Buffer => {
    const iv = Buffer.from(firstIv)
    iv.writeBigUInt64BE(counter, 4)
    counter = (counter + 1n) & 0xffff_ffff_ffff_ffffn
    const cipher = createCipheriv(name, key, iv)
    cipher.setAAD(packet.subarray(0, 4))
    const body = cipher.update(packet.subarray(4, packet.length - 16))
    cipher.final()
    return Buffer.concat([packet.subarray(0, 4), body, cipher.getAuthTag()])
  }
}

/** PROTOCOL.chacha20poly1305 with Node's stream and a MAC in JavaScript. */
function plainChaCha(key: Buffer, packet: Buffer, sequence: number): Buffer {
  const nonce = (block: number): Buffer => {
    const iv = Buffer.alloc(16)
    iv.writeUInt32LE(block, 0)
    iv.writeUInt32BE(sequence, 12)
    return iv
  }
  const stream = (part: Buffer, block: number, bytes: Buffer): Buffer =>
    createCipheriv('chacha20', part, nonce(block)).update(bytes)
  const head = stream(key.subarray(32), 0, packet.subarray(0, 4))
  const body = stream(key.subarray(0, 32), 1, packet.subarray(4, packet.length - 16))
  const macKey = stream(key.subarray(0, 32), 0, Buffer.alloc(32))
  const sealed = Buffer.concat([head, body])
  return Buffer.concat([sealed, poly1305(sealed, macKey)])
}
