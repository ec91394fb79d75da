import { array, assert, property, string, tuple, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Http2Fault } from '../../../src/wire/http2/frames.ts'
import { blockOf, BlockReader } from '../../../src/wire/http2/hpack.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const pairs = (reader: BlockReader, block: Buffer) => [...reader.read(block).fields]

describe('a block of fields', () => {
  it('is read as RFC 7541 writes it in appendix C.3, where each block needs the one before', () => {
    const reader = new BlockReader(65_536)
    const first = '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d'
    expect(pairs(reader, hex(first))).toEqual([
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
    ])
    expect(pairs(reader, hex('8286 84be 5808 6e6f 2d63 6163 6865'))).toContainEqual([
      'cache-control',
      'no-cache',
    ])
    const third = '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65'
    expect(pairs(reader, hex(third))).toEqual([
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/index.html'],
      [':authority', 'www.example.com'],
      ['custom-key', 'custom-value'],
    ])
  })

  it('is read where it is packed and what was remembered has to make room (appendix C.6)', () => {
    const reader = new BlockReader(65_536)
    // The appendix has a table of 256 bytes, which the block can choose itself.
    const small = '3fe1 01'
    const first =
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6' +
      '2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3'
    expect(pairs(reader, hex(small + first))).toEqual([
      [':status', '302'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ])
    expect(pairs(reader, hex('4883 640e ffc1 c0bf'))).toEqual([
      [':status', '307'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ])
    // ":status: 302" had to go for ":status: 307".
    expect(() => reader.read(hex('c2'))).toThrow(Http2Fault)
  })

  it('comes back from what we write', () => {
    const name = string({ unit: fromLetters('abcz09-_.'), minLength: 1, maxLength: 40 })
    const value = string({ unit: fromLetters('aZ09 %/~!'), maxLength: 400 })
    assert(
      property(array(tuple(name, value), { maxLength: 8 }), (fields) => {
        const wanted = new Map(fields)
        expect(new BlockReader(65_536).read(blockOf(wanted))).toEqual({ fields: wanted, valid: true })
      }),
    )
  })

  it('is not valid with names or values that are none, twice the same pseudo-header, or too much in it', () => {
    const read = (...fields: readonly (readonly [string, string])[]) =>
      new BlockReader(1_000).read(blockOf(fields))
    expect(read([':path', '/a'], ['x', '1'], ['x', '2'])).toMatchObject({ valid: true })
    expect(read(['x', '1'], ['x', '2']).fields.get('x')).toBe('1')
    expect(read([':path', '/a'], [':path', '/b']).valid).toBe(false)
    expect(read(['x', '1'], [':path', '/b']).valid).toBe(false)
    expect(read(['Upper', '1']).valid).toBe(false)
    expect(read(['', '1']).valid).toBe(false)
    expect(read(['x', 'a\nb']).valid).toBe(false)
    expect(read(['x', 'y'.repeat(1_000)]).valid).toBe(false)
  })

  it.each([
    ['a field that does not exist', 'be'],
    ['a number without end', 'ffffffffffffffffff'],
    ['a text that is cut', '000a61'],
    ['a table that nobody offered', '3fe23f'],
    ['a change of size after a field', '8220'],
    ['packed text with the mark of its end', '000184ffffffff0161'],
    ['packed text that ends within a letter', '00018200000161'],
    ['nothing after its first byte', '40'],
  ])('with %s ends the connection', (_what, block) => {
    expect(() => new BlockReader(65_536).read(hex(block))).toThrow(Http2Fault)
  })

  it('made of anything is read or refused, and makes nobody remember more than 4,096 bytes', () => {
    assert(
      property(array(uint8Array({ maxLength: 200 }), { maxLength: 20 }), (blocks) => {
        const reader = new BlockReader(65_536)
        try {
          for (const block of blocks) reader.read(Buffer.from(block))
        } catch (error) {
          expect(error).toBeInstanceOf(Http2Fault)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('that names one remembered field again and again stays as small as the field', () => {
    const reader = new BlockReader(65_536)
    const value = 'v'.repeat(4_000)
    reader.read(Buffer.concat([hex('4001 78 7f a1 1e'), Buffer.from(value)]))
    const bomb = reader.read(Buffer.alloc(60_000, 0xbe))
    expect(bomb.valid).toBe(false)
    expect(bomb.fields.size).toBe(1)
  })
})

function fromLetters(letters: string) {
  return string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }).map(
    (letter) => letters[letter.charCodeAt(0) % letters.length] ?? 'a',
  )
}
