import { createPrivateKey, X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { formatHandshake } from '../../src/wire/handshake.ts'
import { certificatePemOf, createIdentity, isCertificatePem } from '../../src/wire/certificate.ts'

describe.each(['p256', 'rsa2048'] as const)('a certificate of profile %s', (profile) => {
  it('is one that Go, OpenSSL and others take as client and as server', async () => {
    const { certificatePem, certificateDer, privateKeyPem } = await createIdentity(profile)
    const certificate = new X509Certificate(certificatePem)
    expect(certificate.raw.equals(certificateDer)).toBe(true)
    expect(certificate.subjectAltName).toBe('DNS:localhost')
    expect(certificate.subject).toBe('O=sftpgo-ts\nCN=localhost')
    expect(certificate.issuer).toBe(certificate.subject)
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1'])
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.checkPrivateKey(createPrivateKey(privateKeyPem))).toBe(true)
    expect(certificate.checkHost('localhost')).toBe('localhost')
    const details = certificate.publicKey.asymmetricKeyDetails
    expect(details).toMatchObject(profile === 'p256' ? { namedCurve: 'prime256v1' } : { modulusLength: 2048 })
  })

  it('began a little ago and outlives any process', async () => {
    const { validFrom, validTo } = new X509Certificate((await createIdentity(profile)).certificatePem)
    const year = 365 * 86_400_000
    expect(Date.parse(validFrom)).toBeLessThan(Date.now() - 60_000)
    expect(Date.parse(validTo)).toBeGreaterThan(Date.now() + 29 * year)
  })
})

describe('an identity', () => {
  it('is another one each time, with a positive serial of sixteen bytes', async () => {
    const serials = new Set<string>()
    for (let round = 0; round < 200; round++) {
      const { serialNumber } = new X509Certificate((await createIdentity()).certificatePem)
      expect(serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/)
      serials.add(serialNumber)
    }
    expect(serials.size).toBe(200)
  })

  it('fits into the first line without padding, whatever its length', async () => {
    const lengths = new Set<number>()
    for (let round = 0; round < 100; round++) {
      const { certificateDer } = await createIdentity()
      const line = formatHandshake({
        version: 1,
        address: { network: 'unix', path: '/tmp/p' },
        certificate: certificateDer,
      })
      expect(line).toMatch(/^1\|1\|unix\|\/tmp\/p\|grpc\|[A-Za-z0-9+/]+\n$/)
      lengths.add(certificateDer.length % 3)
    }
    expect(lengths.size).toBeGreaterThan(1)
  })

  it('is read as PEM only when it is one', async () => {
    const { certificatePem, certificateDer } = await createIdentity()
    expect(certificatePemOf(certificateDer)).toBe(certificatePem)
    expect(isCertificatePem(certificatePem)).toBe(true)
    expect(isCertificatePem(certificatePem.replaceAll('\n', '\r\n').trimEnd())).toBe(true)
    for (const text of ['', 'hello', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----']) {
      expect(isCertificatePem(text)).toBe(false)
    }
  })
})
