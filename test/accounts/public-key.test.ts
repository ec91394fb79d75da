import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  checkCertificate,
  isCertificate,
  parseCertificate,
  type CertificateRules,
} from '../../src/accounts/certificate.ts'
import { KeyError, parseAuthorizedKey, parsePublicKey } from '../../src/accounts/public-key.ts'
import { checkSignature } from '../../src/accounts/signature.ts'
import { writeStrings } from '../../src/accounts/wire-reader.ts'

const hasKeygen = spawnSync('ssh-keygen', ['-?']).error === undefined
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-keys-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const keygen = (...args: string[]): string =>
  execFileSync('ssh-keygen', args, { cwd: folder, encoding: 'utf8' })

/** Makes a key with ssh-keygen and returns its public line. */
function makeKey(name: string, ...args: string[]): string {
  keygen('-q', '-N', '', '-C', `${name}@test`, '-f', name, ...args)
  return readFileSync(join(folder, `${name}.pub`), 'utf8')
}

/** Signs with `ssh-keygen -Y`, whose signed data has the form of PROTOCOL.sshsig, and checks it. */
function signAndCheck(name: string, message: string): void {
  writeFileSync(join(folder, 'message'), message)
  rmSync(join(folder, 'message.sig'), { force: true })
  keygen('-q', '-Y', 'sign', '-n', 'test', '-f', name, 'message')
  const armored = readFileSync(join(folder, 'message.sig'), 'utf8').replace(/-----[^-]+-----|\s/g, '')
  const blob = Buffer.from(armored, 'base64').subarray(6 + 4)
  const fields: Buffer[] = []
  for (let at = 0; at < blob.length;) {
    const length = blob.readUInt32BE(at)
    fields.push(blob.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  const [keyBytes, namespace, reserved, digest, signature] = fields as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ]
  const hashed = createHash(digest.toString()).update(message).digest()
  const data = Buffer.concat([Buffer.from('SSHSIG'), writeStrings(namespace, reserved, digest, hashed)])
  const algorithm = signature.subarray(4, 4 + signature.readUInt32BE(0)).toString()
  const key = parsePublicKey(keyBytes)
  expect(checkSignature(key, data, signature, { algorithm }).algorithm).toBe(algorithm)
  const other = Buffer.from(data)
  other[other.length - 1] = (other.at(-1) ?? 0) ^ 1
  expect(() => checkSignature(key, other, signature, { algorithm })).toThrow(KeyError)
  expect(() => checkSignature(key, data, signature, { algorithm: 'ssh-dss' })).toThrow(KeyError)
  expect(() => checkSignature(key, data, Buffer.concat([signature, Buffer.alloc(1)]), { algorithm })).toThrow(
    'bytes after its end',
  )
}

describe.skipIf(!hasKeygen)('keys of ssh-keygen (needs ssh-keygen)', () => {
  it.each([
    ['ed25519', ['-t', 'ed25519']],
    ['p256', ['-t', 'ecdsa', '-b', '256']],
    ['p384', ['-t', 'ecdsa', '-b', '384']],
    ['p521', ['-t', 'ecdsa', '-b', '521']],
    ['rsa2048', ['-t', 'rsa', '-b', '2048']],
    ['rsa3072', ['-t', 'rsa', '-b', '3072']],
  ])('reads a key of the kind %s, names it as ssh-keygen does and checks its signatures', (name, args) => {
    const line = makeKey(name, ...args)
    const key = parseAuthorizedKey(line)
    expect(keygen('-l', '-f', `${name}.pub`)).toContain(` ${key.fingerprint} `)
    expect(key.comment).toBe(`${name}@test`)
    expect(line.startsWith(key.text)).toBe(true)
    for (let n = 0; n < 5; n++) signAndCheck(name, `message ${n}`)
  })

  it('refuses RSA keys of 1024 bits and DSA keys', () => {
    expect(() => parseAuthorizedKey(makeKey('rsa1024', '-t', 'rsa', '-b', '1024'))).toThrow('fewer than 2048')
    const dsa = `ssh-dss ${writeStrings('ssh-dss', 'p', 'q', 'g', 'y').toString('base64')}`
    expect(() => parseAuthorizedKey(dsa)).toThrow('not supported')
  })

  it('refuses lines with options instead of ignoring the options', () => {
    const line = makeKey('optioned', '-t', 'ed25519')
    for (const options of [
      'from="10.0.0.1"',
      'command="ls"',
      'restrict',
      'cert-authority',
      'no-pty,from="x"',
    ])
      expect(() => parseAuthorizedKey(`${options} ${line}`)).toThrow('options')
  })
})

describe('security keys', () => {
  /** Signs as a FIDO key does: over hashes of application and message, with flags and a counter. */
  const token = (flags: number, privateKey: KeyObject, digest: string | null, data: Buffer): Buffer => {
    const sha256 = (bytes: string | Buffer): Buffer => createHash('sha256').update(bytes).digest()
    const tail = Buffer.from([flags, 0, 0, 0, 42])
    const signed = Buffer.concat([sha256('ssh:'), tail, sha256(data)])
    const raw =
      digest === null
        ? sign(null, signed, privateKey)
        : ecdsaFields(sign(digest, signed, { key: privateKey, dsaEncoding: 'ieee-p1363' }))
    const name = digest === null ? 'sk-ssh-ed25519@openssh.com' : 'sk-ecdsa-sha2-nistp256@openssh.com'
    return Buffer.concat([writeStrings(name, raw), tail])
  }
  const ecdsaFields = (raw: Buffer): Buffer =>
    writeStrings(
      Buffer.concat([Buffer.alloc(1), raw.subarray(0, 32)]),
      Buffer.concat([Buffer.alloc(1), raw.subarray(32)]),
    )

  it.each(['ed25519', 'ecdsa'])('checks signatures of sk-%s keys, touch and counter included', (kind) => {
    const pair =
      kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = pair.publicKey.export({ format: 'jwk' })
    const part = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url')
    const algorithm = kind === 'ed25519' ? 'sk-ssh-ed25519@openssh.com' : 'sk-ecdsa-sha2-nistp256@openssh.com'
    const blob =
      kind === 'ed25519'
        ? writeStrings(algorithm, part(jwk.x), 'ssh:')
        : writeStrings(
            algorithm,
            'nistp256',
            Buffer.concat([Buffer.from([4]), part(jwk.x), part(jwk.y)]),
            'ssh:',
          )
    const key = parsePublicKey(blob)
    const data = Buffer.from('signed data')
    const digest = kind === 'ed25519' ? null : 'sha256'
    const good = token(1, pair.privateKey, digest, data)
    expect(checkSignature(key, data, good, { algorithm }).securityKey).toMatchObject({
      present: true,
      counter: 42,
    })
    expect(() => checkSignature(key, Buffer.from('other'), good, { algorithm })).toThrow('wrong')
    const untouched = token(0, pair.privateKey, digest, data)
    expect(() => checkSignature(key, data, untouched, { algorithm })).toThrow('Nobody touched')
    const forged = Buffer.from(good)
    forged[forged.length - 1] = 43
    expect(() => checkSignature(key, data, forged, { algorithm })).toThrow('wrong')
  })
})

describe('hostile key blobs (S-5)', () => {
  const valid = (): Buffer => {
    const jwk = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
    return writeStrings('ssh-ed25519', Buffer.from(jwk.x ?? '', 'base64url'))
  }
  it.each([
    ['nothing', () => Buffer.alloc(0)],
    ['a path', () => Buffer.from('/etc/passwd')],
    ['a network path', () => Buffer.from('\\\\evil\\share\\key')],
    ['junk', () => Buffer.alloc(64 * 1024, 0x41)],
    ['a key and junk', () => Buffer.concat([valid(), Buffer.from('junk')])],
    ['a length that lies', () => Buffer.from([0xff, 0xff, 0xff, 0xff, 1])],
    ['a point off the curve', () => writeStrings('ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(65, 4))],
    ['another curve', () => writeStrings('ecdsa-sha2-nistp256', 'nistp384', Buffer.alloc(97, 4))],
    ['an even exponent', () => writeStrings('ssh-rsa', Buffer.from([2]), Buffer.alloc(257, 0x7f))],
    ['a negative modulus', () => writeStrings('ssh-rsa', Buffer.from([3]), Buffer.alloc(257, 0xff))],
    ['a truncated certificate', () => writeStrings('ssh-ed25519-cert-v01@openssh.com', 'nonce')],
  ])('refuses %s', (_name, make) => {
    expect(() => parsePublicKey(make())).toThrow(KeyError)
    expect(() => parseCertificate(make())).toThrow(KeyError)
  })
})

describe.skipIf(!hasKeygen)('user certificates (S-18, needs ssh-keygen)', () => {
  const rules = (change: Partial<CertificateRules> = {}): CertificateRules => ({
    authorities: new Set([authority]),
    revoked: new Set(),
    username: 'ada',
    address: '127.0.0.1',
    now: Date.now(),
    ...change,
  })
  let authority = ''
  beforeAll(() => {
    authority = parseAuthorizedKey(makeKey('ca', '-t', 'ed25519')).fingerprint
    makeKey('user', '-t', 'ed25519')
  })
  const certify = (...args: string[]): Buffer => {
    const ca = args.includes('-s') ? [] : ['-s', 'ca']
    keygen('-q', ...ca, '-I', 'test-id', ...args, 'user.pub')
    const line = readFileSync(join(folder, 'user-cert.pub'), 'utf8')
    return Buffer.from(line.split(' ')[1] ?? '', 'base64')
  }
  const outcome = (blob: Buffer, change?: Partial<CertificateRules>): string => {
    try {
      checkCertificate(parseCertificate(blob), rules(change))
      return 'accepted'
    } catch (error) {
      expect(error).toBeInstanceOf(KeyError)
      return (error as KeyError).message
    }
  }

  it('accepts a certificate of a trusted authority that names the user', () => {
    const blob = certify('-n', 'ada,bob', '-V', '-1m:+1h')
    expect(isCertificate(blob)).toBe(true)
    expect(outcome(blob)).toBe('accepted')
    expect(parseCertificate(blob)).toMatchObject({
      keyId: 'test-id',
      principals: ['ada', 'bob'],
      kind: 'user',
    })
    expect(parseCertificate(blob).key.text).toBe(
      readFileSync(join(folder, 'user.pub'), 'utf8').split(' ', 2).join(' '),
    )
  })

  it.each([
    ['ecdsa', ['-t', 'ecdsa']],
    ['rsa', ['-t', 'rsa', '-b', '2048']],
  ])('accepts certificates for and from %s keys', (name, args) => {
    const ca = parseAuthorizedKey(makeKey(`ca-${name}`, ...args))
    makeKey(`user-${name}`, ...args)
    keygen('-q', '-s', `ca-${name}`, '-I', 'id', '-n', 'ada', `user-${name}.pub`)
    const line = readFileSync(join(folder, `user-${name}-cert.pub`), 'utf8')
    const blob = Buffer.from(line.split(' ')[1] ?? '', 'base64')
    expect(outcome(blob, { authorities: new Set([ca.fingerprint]) })).toBe('accepted')
    expect(parsePublicKey(parseCertificate(blob).key.blob).type).toContain(name)
  })

  it('refuses what makes a certificate bad, each with its reason', () => {
    makeKey('other-ca', '-t', 'ed25519')
    expect(outcome(certify('-s', 'other-ca', '-n', 'ada'))).toContain('is not trusted')
    expect(outcome(certify('-h', '-n', 'ada'))).toContain('for hosts')
    expect(outcome(certify('-n', 'bob'))).toContain('does not name this user')
    expect(outcome(certify())).toContain('names no principals')
    expect(outcome(certify('-n', 'ada', '-V', '20200101:20200102'))).toContain('no longer valid')
    expect(outcome(certify('-n', 'ada', '-V', '20900101:20900102'))).toContain('not valid yet')
    expect(outcome(certify('-n', 'ada', '-O', 'force-command=ls'))).toContain('"force-command"')
    expect(outcome(certify('-n', 'ada', '-O', 'critical:new@x=1'))).toContain('"new@x"')
    expect(outcome(certify('-n', 'ada', '-O', 'verify-required'))).toContain('"verify-required"')
  })

  it('holds source-address against the client', () => {
    const blob = certify('-n', 'ada', '-O', 'source-address=10.0.0.0/8,192.0.2.1')
    expect(outcome(blob)).toContain('not valid from this address')
    expect(outcome(blob, { address: '10.1.2.3' })).toBe('accepted')
    expect(outcome(blob, { address: '192.0.2.1' })).toBe('accepted')
    expect(outcome(blob, { address: '192.0.2.2' })).toContain('not valid from this address')
  })

  it('refuses revoked keys and authorities by fingerprint', () => {
    const blob = certify('-n', 'ada')
    expect(outcome(blob, { revoked: new Set([parseCertificate(blob).key.fingerprint]) })).toContain('revoked')
    expect(outcome(blob, { revoked: new Set([authority]) })).toContain('revoked')
  })

  it('refuses a certificate that was changed after it was signed', () => {
    const blob = certify('-n', 'ada')
    const changed = Buffer.from(blob)
    changed[blob.indexOf('test-id')] = 0x54
    expect(outcome(changed)).toBe('The signature is wrong')
  })
})
