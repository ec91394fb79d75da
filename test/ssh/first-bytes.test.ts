import { describe, expect, it } from 'vitest'
import { parseGreeting } from '../../src/ssh/greeting.ts'
import { parseProxyHeader } from '../../src/ssh/proxy-header.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

describe("a client's first line", () => {
  it('is taken whole, with or without a carriage return, and for the old double version', () => {
    expect(parseGreeting(bytes('SSH-2.0-OpenSSH_9.2p1 Debian\r\nmore'))).toEqual({
      at: 'complete',
      version: 'OpenSSH_9.2p1 Debian',
    })
    expect(parseGreeting(bytes('SSH-1.99-old\n'))).toEqual({ at: 'complete', version: 'old' })
  })

  it('is waited for byte by byte, and refused at the first byte that cannot belong to it', () => {
    const line = 'SSH-2.0-x\r\n'
    for (let length = 0; length < line.length - 1; length += 1)
      expect(parseGreeting(bytes(line.slice(0, length))).at, line.slice(0, length)).toBe('incomplete')
    for (const other of ['G', 'SSH-1.5-old\n', 'SSH-2.1', 'ssh-2.0-x', '\r\nSSH-2.0-x', 'SSH-1.98'])
      expect(parseGreeting(bytes(other)).at, other).toBe('refused')
  })

  it('is refused when it is too long or holds control characters', () => {
    expect(parseGreeting(bytes(`SSH-2.0-${'x'.repeat(244)}\r\n`)).at).toBe('complete')
    expect(parseGreeting(bytes(`SSH-2.0-${'x'.repeat(300)}`)).at).toBe('refused')
    expect(parseGreeting(bytes(`SSH-2.0-${'x'.repeat(300)}\r\n`)).at).toBe('refused')
    expect(parseGreeting(bytes('SSH-2.0-a\0b\r\n')).at).toBe('refused')
    expect(parseGreeting(bytes('SSH-2.0-a\x1b[2Jb\r\n')).at).toBe('refused')
  })
})

describe('a PROXY header', () => {
  it("of version 1 says the client's address", () => {
    const header = 'PROXY TCP4 192.0.2.7 198.51.100.1 50000 22\r\n'
    expect(parseProxyHeader(bytes(`${header}SSH-2.0-x`))).toEqual({
      at: 'present',
      length: header.length,
      address: '192.0.2.7',
    })
    expect(parseProxyHeader(bytes('PROXY TCP6 2001:db8::7 ::1 1 2\r\n'))).toMatchObject({
      address: '2001:db8::7',
    })
    expect(parseProxyHeader(bytes('PROXY UNKNOWN whatever\r\n'))).toMatchObject({ address: undefined })
  })

  it("of version 2 says the client's address, and its extensions are skipped", () => {
    const four = binary(0x21, 0x11, Buffer.from([192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0, 22]))
    expect(parseProxyHeader(four)).toEqual({ at: 'present', length: 28, address: '192.0.2.7' })
    const six = Buffer.concat([Buffer.from('20010db8000000000000000000000007', 'hex'), Buffer.alloc(20)])
    expect(parseProxyHeader(binary(0x21, 0x21, Buffer.concat([six, Buffer.alloc(7)])))).toEqual({
      at: 'present',
      length: 16 + 36 + 7,
      address: '2001:db8::7',
    })
    expect(parseProxyHeader(binary(0x20, 0x00, Buffer.alloc(0)))).toMatchObject({ address: undefined })
    expect(parseProxyHeader(binary(0x21, 0x31, Buffer.alloc(216)))).toMatchObject({ address: undefined })
  })

  it('is waited for byte by byte', () => {
    const text = bytes('PROXY TCP4 192.0.2.7 198.51.100.1 50000 22\r\n')
    const whole = binary(0x21, 0x11, Buffer.alloc(12, 1))
    for (const header of [text, whole]) {
      for (let length = 1; length < header.length; length += 1)
        expect(parseProxyHeader(header.subarray(0, length)).at).toBe('incomplete')
    }
  })

  it('that is wrong is malformed, and other bytes are none', () => {
    for (const wrong of [
      'PROXY TCP4 nonsense 198.51.100.1 1 2\r\n',
      'PROXY TCP4 ::1 ::1 1 2\r\n',
      'PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n',
      `PROXY ${'x'.repeat(120)}`,
    ])
      expect(parseProxyHeader(bytes(wrong)).at, wrong).toBe('malformed')
    expect(parseProxyHeader(binary(0x11, 0x11, Buffer.alloc(12))).at).toBe('malformed')
    expect(parseProxyHeader(binary(0x22, 0x11, Buffer.alloc(12))).at).toBe('malformed')
    expect(parseProxyHeader(binary(0x21, 0x11, Buffer.alloc(4))).at).toBe('malformed')
    expect(parseProxyHeader(binary(0x21, 0x11, Buffer.alloc(4000))).at).toBe('malformed')
    expect(parseProxyHeader(bytes('SSH-2.0-x\r\n')).at).toBe('absent')
  })
})

function binary(command: number, family: number, rest: Buffer): Buffer {
  const head = Buffer.from('0d0a0d0a000d0a515549540a00000000', 'hex')
  head[12] = command
  head[13] = family
  head.writeUInt16BE(rest.length, 14)
  return Buffer.concat([head, rest])
}
