import { describe, expect, it } from 'vitest'
import { createIdentity } from '../../src/wire/certificate.ts'
import { formatHandshake, parseHandshake, type PluginAddress } from '../../src/wire/handshake.ts'

const { certificateDer } = await createIdentity()
const unpadded = certificateDer.toString('base64').replace(/=+$/, '')
const plain = { versions: [1], mutualTls: false }
const secured = { versions: [1], mutualTls: true }

describe('the first line of a plugin', () => {
  it('says version, address and certificate', () => {
    expect(parseHandshake(`1|1|unix|/tmp/plugin1|grpc|${unpadded}\n`, secured)).toEqual({
      version: 1,
      address: { network: 'unix', path: '/tmp/plugin1' },
      certificate: certificateDer,
    })
  })

  it.each([
    '1|1|unix|/tmp/p|grpc|',
    '1|1|unix|/tmp/p|grpc',
    '  1|1|unix|/tmp/p|grpc|\r\n',
    '1|01|unix|/tmp/p|grpc|',
  ])('is taken as %j without mutual TLS', (line) => {
    expect(parseHandshake(line, plain)).toEqual({ version: 1, address: { network: 'unix', path: '/tmp/p' } })
  })

  it.each<[string, PluginAddress]>([
    ['1|1|tcp|127.0.0.1:1234|grpc|', { network: 'tcp', host: '127.0.0.1', port: 1234 }],
    ['1|1|tcp|:1234|grpc|', { network: 'tcp', host: '127.0.0.1', port: 1234 }],
    ['1|1|tcp|localhost:1234|grpc|', { network: 'tcp', host: 'localhost', port: 1234 }],
    ['1|1|tcp|[::1]:1234|grpc|', { network: 'tcp', host: '::1', port: 1234 }],
    ['1|1|unix|@name|grpc|', { network: 'unix', path: '\0name' }],
    ['1|1|unix|relative/path|grpc|', { network: 'unix', path: 'relative/path' }],
  ])('%s names an address', (line, address) => {
    expect(parseHandshake(line, plain).address).toEqual(address)
  })

  it('may name another machine only with mutual TLS', () => {
    expect(() => parseHandshake('1|1|tcp|192.0.2.1:1234|grpc|', plain)).toThrow('another machine')
    expect(parseHandshake(`1|1|tcp|192.0.2.1:1234|grpc|${unpadded}`, secured).address).toMatchObject({
      port: 1234,
    })
  })

  it('takes the certificate padded as well as unpadded', () => {
    for (const field of [unpadded, certificateDer.toString('base64')]) {
      expect(parseHandshake(`1|1|unix|/tmp/p|grpc|${field}`, secured).certificate).toEqual(certificateDer)
    }
  })

  it('ignores a seventh field, and a short sixth where mutual TLS is off', () => {
    expect(parseHandshake('1|1|unix|/tmp/p|grpc||true', plain).version).toBe(1)
    expect(parseHandshake(`1|1|unix|/tmp/p|grpc|${'x'.repeat(50)}`, plain).certificate).toBeUndefined()
  })

  it('is one of several versions', () => {
    expect(parseHandshake('1|2|unix|/tmp/p|grpc|', { ...plain, versions: [1, 2, 3] }).version).toBe(2)
  })

  it.each([
    ['', 'bad-handshake', 'The first line is empty'],
    ['\n', 'bad-handshake', 'The first line is empty'],
    ['Listening on port 80', 'bad-handshake', 'not a handshake but "Listening on port 80"'],
    ['1|1|unix', 'bad-handshake', 'not a handshake'],
    ['1|1|unix|/tmp/p', 'bad-handshake', '"netrpc" and only "grpc"'],
    ['1|1|unix|/tmp/p|netrpc', 'bad-handshake', '"netrpc" and only "grpc"'],
    ['1|1|unix|/tmp/p|GRPC', 'bad-handshake', '"GRPC" and only "grpc"'],
    ['1|1|unix|/tmp/p||', 'bad-handshake', 'only "grpc"'],
    [
      '\uFEFF1|1|unix|/tmp/p|grpc|'.replace('\uFEFF', '\u00ef\u00bb\u00bf'),
      'bad-handshake',
      'core protocol version',
    ],
    ['2|1|unix|/tmp/p|grpc|', 'bad-handshake', 'The core protocol version is "2"'],
    ['one|1|unix|/tmp/p|grpc|', 'bad-handshake', 'is not a number'],
    ['1|x|unix|/tmp/p|grpc|', 'bad-handshake', 'is not a number'],
    ['1| 1|unix|/tmp/p|grpc|', 'bad-handshake', 'is not a number'],
    ['1|7|unix|/tmp/p|grpc|', 'incompatible-version', 'version 7 of the protocol and the host has 1'],
    ['1|1|udp|/tmp/p|grpc|', 'bad-handshake', '"udp" is neither'],
    ['1|1|unix||grpc|', 'bad-handshake', 'socket path is missing'],
    ['1|1|tcp|127.0.0.1|grpc|', 'bad-handshake', 'not a host and a port'],
    ['1|1|tcp|127.0.0.1:99999|grpc|', 'bad-handshake', 'not a host and a port'],
    [
      `1|1|unix|/tmp/p|grpc|${unpadded}`,
      'bad-handshake',
      'announced a certificate although mutual TLS is off',
    ],
  ])('%j is refused', (line, code, message) => {
    expect(() => parseHandshake(line, plain)).toThrow(message)
    expect(() => parseHandshake(line, plain)).toThrow(expect.objectContaining({ name: 'PluginError', code }))
  })

  it.each([
    ['1|1|unix|/tmp/p|grpc|', 'plaintext-refused'],
    ['1|1|unix|/tmp/p|grpc', 'plaintext-refused'],
    [`1|1|unix|/tmp/p|grpc|${'!'.repeat(60)}`, 'bad-handshake'],
    [`1|1|unix|/tmp/p|grpc|${'A'.repeat(600)}`, 'bad-handshake'],
    [`1|1|unix|/tmp/p|grpc|${unpadded.slice(0, 300)}`, 'bad-handshake'],
  ])('%j is refused with mutual TLS', (line, code) => {
    expect(() => parseHandshake(line, secured)).toThrow(expect.objectContaining({ code }))
  })

  it('quotes what is not a handshake, shortened and escaped', () => {
    const line = `\u001b[2J${'x'.repeat(10_000)}`
    let message = ''
    try {
      parseHandshake(line, plain)
    } catch (error) {
      message = String(error)
    }
    expect(message.length).toBeLessThan(400)
    expect(message).not.toContain('\u001b')
  })

  it('comes back from what we write', () => {
    const addresses: PluginAddress[] = [
      { network: 'unix', path: '/tmp/a b' },
      { network: 'tcp', host: '127.0.0.1', port: 1 },
      { network: 'tcp', host: '::1', port: 65_535 },
    ]
    for (const address of addresses) {
      const line = formatHandshake({ version: 1, address, certificate: certificateDer })
      expect(parseHandshake(line, secured)).toEqual({ version: 1, address, certificate: certificateDer })
    }
  })
})
