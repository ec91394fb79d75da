import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { findNative } from '../../src/native/library.ts'
import type { PacketCipher, PacketOpener } from '../../src/native/packet-cipher.ts'
import { nativePacketCiphers, type PacketCiphers } from '../../src/native/packet-ciphers.ts'
import { InPlaceDecipher } from '../../src/ssh/ssh2/in-place-decipher.ts'

const ciphers = nativePacketCiphers(findNative({}))

interface Kind {
  readonly name: string
  readonly block: number
  readonly tag: number
  make(made: PacketCiphers): { readonly out: PacketCipher; readonly opener: PacketOpener }
}

const kinds: readonly Kind[] = [
  {
    name: 'aes128-gcm',
    block: 16,
    tag: 16,
    make(made) {
      const [key, iv] = [randomBytes(16), randomBytes(12)]
      return {
        out: new made.AESGCMCipher('aes-128-gcm', key, iv),
        opener: new made.AESGCMDecipher('aes-128-gcm', key, iv),
      }
    },
  },
  {
    name: 'chacha20-poly1305',
    block: 8,
    tag: 16,
    make(made) {
      const key = randomBytes(64)
      return { out: new made.ChaChaPolyCipher(key), opener: new made.ChaChaPolyDecipher(key) }
    },
  },
  {
    name: 'aes256-ctr with an etm HMAC',
    block: 16,
    tag: 32,
    make(made) {
      const [key, iv, macKey] = [randomBytes(32), randomBytes(16), randomBytes(32)]
      return {
        out: new made.GenericCipher('aes-256-ctr', key, iv, 'sha256', macKey, true),
        opener: new made.GenericDecipher('aes-256-ctr', key, iv, 'sha256', macKey, true, 32),
      }
    },
  },
]

describe.skipIf(ciphers === undefined).each(kinds)(
  'packets of $name, read in place (needs koffi)',
  (kind) => {
    const { block, tag } = kind
    const payloads = [1, 2, 40, 32_768, 7, 300, 32_000, 5].map((size) => randomBytes(size))

    function begin() {
      const { out, opener } = kind.make(ciphers!)
      let sequence = 0
      const found: Buffer[] = []
      let answer: unknown
      const decipher = new InPlaceDecipher(
        {
          inSeqno: 0,
          _onPayload: (payload) => {
            found.push(payload)
            return answer
          },
        },
        opener,
        block,
      )
      return {
        ...{ decipher, found },
        /** One packet; `padding` is what its length byte says. */
        seal: (payload: Buffer, padding?: number): Buffer => {
          const fill = block - ((5 + payload.length - 4) % block)
          const room = fill < 4 ? fill + block : fill
          const packet = Buffer.alloc(5 + payload.length + room + tag)
          packet.writeUInt32BE(1 + payload.length + room)
          packet[4] = padding ?? room
          packet.set(payload, 5)
          out.encrypt(packet, sequence++)
          return packet
        },
        answerWith: (value: unknown) => void (answer = value),
      }
    }

    it('come out whole where reads lie one behind the other, at whatever bytes they are cut, without a copy', () => {
      for (let round = 0; round < 12; round += 1) {
        const { decipher, found, seal } = begin()
        const memory = Buffer.concat(payloads.map((payload) => seal(payload)))
        for (let at = 0; at < memory.length;) {
          const end = Math.min(memory.length, at + cut(round))
          const chunk = memory.subarray(at, end)
          if (decipher.decrypt(chunk, 0, chunk.length) !== undefined) throw new Error('It stopped')
          at = end
        }
        expect(found.map((payload) => payload.equals(payloads[found.indexOf(payload)]!))).toEqual(
          payloads.map(() => true),
        )
        expect(found.every((payload) => payload.buffer === memory.buffer)).toBe(true)
        expect(decipher.holdsPart).toBe(false)
        expect(decipher.inSeqno).toBe(payloads.length)
      }
    })

    it('come out whole where reads lie apart', () => {
      for (let round = 0; round < 12; round += 1) {
        const { decipher, found, seal } = begin()
        const bytes = Buffer.concat(payloads.map((payload) => seal(payload)))
        for (let at = 0; at < bytes.length;) {
          const end = Math.min(bytes.length, at + cut(round))
          const chunk = Buffer.concat([Buffer.alloc(3), bytes.subarray(at, end), Buffer.alloc(2)])
          if (decipher.decrypt(chunk, 3, chunk.length - 2) !== undefined) throw new Error('It stopped')
          at = end
        }
        expect(Buffer.concat(found).equals(Buffer.concat(payloads))).toBe(true)
        expect(decipher.inSeqno).toBe(payloads.length)
      }
    })

    it('stop where the keys change, and say where the next one begins', () => {
      const { decipher, found, seal, answerWith } = begin()
      const [one, two] = [seal(randomBytes(50)), seal(randomBytes(60))]
      const memory = Buffer.concat([one, two])
      answerWith(false)
      const first = memory.subarray(0, 10)
      expect(decipher.decrypt(first, 0, 10)).toBeUndefined()
      expect(decipher.holdsPart).toBe(true)
      const rest = memory.subarray(10)
      expect(decipher.decrypt(rest, 0, rest.length)).toBe(one.length - 10)
      expect(found).toHaveLength(1)
    })

    it('end the connection when a byte was changed, when they are too long, or when their padding is wrong', () => {
      const changed = begin()
      const packet = changed.seal(randomBytes(100))
      packet[30]! ^= 1
      expect(() => changed.decipher.decrypt(packet, 0, packet.length)).toThrow('Invalid MAC')
      for (const padding of [0, 3, 255]) {
        const { decipher, seal } = begin()
        const bytes = seal(randomBytes(20), padding)
        expect(() => decipher.decrypt(bytes, 0, bytes.length), `padding ${padding}`).toThrow('Bad padding')
      }
      const long = begin()
      const bytes = long.seal(randomBytes(35_100))
      expect(() => long.decipher.decrypt(bytes, 0, 4)).toThrow('Bad packet length')
      expect(changed.found).toEqual([])
    })

    it('leave nothing behind when they are freed', () => {
      const { decipher, seal } = begin()
      const packet = seal(randomBytes(100))
      decipher.decrypt(packet, 0, 50)
      decipher.free()
      expect(decipher.holdsPart).toBe(false)
      expect(() => decipher.decrypt(packet, 0, packet.length)).toThrow()
    })
  },
)

/** Small cuts in one round, large ones in the next. */
function cut(round: number): number {
  return 1 + Math.floor(Math.random() * [3, 40, 5_000, 40_000][round % 4]!)
}
