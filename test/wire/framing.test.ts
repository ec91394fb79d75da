import { array, assert, integer, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader, frameOf } from '../../src/wire/framing.ts'

describe('messages in a stream', () => {
  it('come out whole wherever the bytes are cut', () => {
    const messages = array(uint8Array({ maxLength: 300 }), { maxLength: 6 })
    const cuts = array(integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 })
    assert(
      property(messages, cuts, (wanted, sizes) => {
        const bytes = Buffer.concat(wanted.map(frameOf))
        const reader = new FrameReader(1_000)
        const found: Buffer[] = []
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1
          found.push(...reader.push(bytes.subarray(at, at + size)))
          at += size
        }
        expect(found.map((one) => [...one])).toEqual(wanted.map((one) => [...one]))
        expect(reader.isEmpty).toBe(true)
      }),
    )
  })

  it('above the bound are refused by their length, before they arrive', () => {
    const reader = new FrameReader(10)
    expect(() => reader.push(Buffer.from([0, 0, 0, 0, 11]))).toThrow(
      expect.objectContaining({ code: 'too-large' }),
    )
  })

  it('that are compressed are refused', () => {
    const reader = new FrameReader(10)
    expect(() => reader.push(Buffer.from([1, 0, 0, 0, 0]))).toThrow(
      expect.objectContaining({ code: 'malformed-reply' }),
    )
  })
})
