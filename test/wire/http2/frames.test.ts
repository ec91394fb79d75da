import { array, assert, integer, property, tuple, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameCutter, framesOf, Http2Fault, preface } from '../../../src/wire/http2/frames.ts'

describe('frames', () => {
  it('come out whole wherever the bytes are cut', () => {
    const frame = tuple(
      integer({ min: 0, max: 255 }),
      integer({ min: 0, max: 255 }),
      integer({ min: 0, max: 0x7fffffff }),
      uint8Array({ maxLength: 60 }),
    )
    const cuts = array(integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 })
    assert(
      property(array(frame, { maxLength: 6 }), cuts, (wanted, sizes) => {
        const bytes = Buffer.concat([
          preface,
          ...wanted.map(([kind, flag, stream, payload]) => framesOf(stream, { kind, flag, payload })),
        ])
        const found: unknown[] = []
        const cutter = new FrameCutter(
          (kind, flag, stream, payload) => found.push([kind, flag, stream, Uint8Array.from(payload)]),
          preface,
        )
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1
          cutter.push(bytes.subarray(at, at + size))
          at += size
        }
        expect(found).toEqual(wanted)
      }),
    )
  })

  it('above 16,384 bytes are refused by their length, before they arrive', () => {
    const cutter = new FrameCutter(() => {})
    expect(() => cutter.push(Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1]))).toThrow(Http2Fault)
  })

  it('behind another beginning are refused at its first wrong byte', () => {
    const cutter = new FrameCutter(() => {}, preface)
    cutter.push(Buffer.from('PRI * HT'))
    expect(() => cutter.push(Buffer.from('X'))).toThrow(Http2Fault)
  })
})
