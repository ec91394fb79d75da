import { generateKeyPair, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import asn1, { type Asn1 } from 'node-forge/lib/asn1.js'

/** A private key and the certificate that goes with it. Both live in memory only, for one life of one process. */
export interface Identity {
  readonly privateKeyPem: string
  readonly certificatePem: string
  readonly certificateDer: Buffer
}

/** P-256 unless a peer takes nothing but RSA. */
export type KeyProfile = 'p256' | 'rsa2048'

/** Makes a new key and a certificate for `localhost` that hosts and plugins in any language take from each other. */
export async function createIdentity(profile: KeyProfile = 'p256'): Promise<Identity> {
  const { publicKey, privateKey } = await keyPairs[profile]()
  const der = certificateOf(publicKey, privateKey, profile)
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificatePem: certificatePemOf(der),
    certificateDer: der,
  }
}

/** A certificate's bytes as PEM. */
export function certificatePemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** Whether `text` is a certificate in PEM form that can be read. */
export function isCertificatePem(text: string): boolean {
  try {
    return text.includes('-----BEGIN CERTIFICATE-----') && new X509Certificate(text).raw.length > 0
  } catch {
    return false
  }
}

const makeKeyPair = promisify(generateKeyPair)

const keyPairs: Record<KeyProfile, () => Promise<{ publicKey: KeyObject; privateKey: KeyObject }>> = {
  p256: () => makeKeyPair('ec', { namedCurve: 'P-256' }),
  rsa2048: () => makeKeyPair('rsa', { modulusLength: 2048 }),
}

const signatureOids: Record<KeyProfile, string> = {
  p256: '1.2.840.10045.4.3.2', // ecdsa-with-SHA256
  rsa2048: '1.2.840.113549.1.1.11', // sha256WithRSAEncryption
}

function certificateOf(publicKey: KeyObject, privateKey: KeyObject, profile: KeyProfile): Buffer {
  const algorithm = sequence(oid(signatureOids[profile]), ...(profile === 'rsa2048' ? [nothing()] : []))
  const body = sequence(
    explicit(0, integer('\x02')), // version 3: it has extensions
    integer(positiveSerial()),
    algorithm,
    subject(),
    validity(),
    subject(),
    asn1.fromDer(publicKey.export({ type: 'spki', format: 'der' }).toString('latin1')),
    explicit(3, sequence(...extensions())),
  )
  const signature = sign('sha256', bytesOf(body), privateKey)
  return bytesOf(sequence(body, algorithm, bits(signature.toString('latin1'))))
}

/** Sixteen bytes, positive and in their shortest form: Go refuses a negative serial since 1.23. */
function positiveSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes.toString('latin1')
}

function subject(): Asn1 {
  return sequence(
    set(sequence(oid('2.5.4.10'), printable('sftpgo-ts'))), // organization
    set(sequence(oid('2.5.4.3'), printable('localhost'))), // common name
  )
}

/** Begins a little earlier, for clocks that are corrected, and outlives any process: nothing renews it. */
function validity(): Asn1 {
  const begin = new Date(Date.now() - 5 * 60_000)
  const end = new Date(Date.now() + 30 * 365 * 86_400_000)
  return sequence(time(begin), time(end))
}

/**
 * Both sides use one certificate as client and as server, so it has both purposes and the server's name. Go looks at
 * the name and the purposes, OpenSSL at the key usage too.
 */
function extensions(): Asn1[] {
  return [
    extension('2.5.29.15', bits('\xac', 2), true), // digitalSignature keyEncipherment keyAgreement keyCertSign
    extension('2.5.29.37', sequence(oid('1.3.6.1.5.5.7.3.2'), oid('1.3.6.1.5.5.7.3.1'))), // clientAuth serverAuth
    extension('2.5.29.19', sequence(boolean(true)), true), // basicConstraints: CA, as Go's own
    extension('2.5.29.17', sequence(dnsName('localhost'))), // subjectAltName
  ]
}

function extension(id: string, value: Asn1, critical = false): Asn1 {
  const wrapped = leaf(asn1.Type.OCTETSTRING, asn1.toDer(value).getBytes())
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), wrapped)
}

const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class

function leaf(type: number, value: string): Asn1 {
  return asn1.create(UNIVERSAL, type, false, value)
}

function sequence(...parts: Asn1[]): Asn1 {
  return asn1.create(UNIVERSAL, asn1.Type.SEQUENCE, true, parts)
}

function set(...parts: Asn1[]): Asn1 {
  return asn1.create(UNIVERSAL, asn1.Type.SET, true, parts)
}

function explicit(tag: number, value: Asn1): Asn1 {
  return asn1.create(CONTEXT_SPECIFIC, tag, true, [value])
}

function dnsName(name: string): Asn1 {
  return asn1.create(CONTEXT_SPECIFIC, 2, false, name)
}

function oid(dotted: string): Asn1 {
  return leaf(asn1.Type.OID, asn1.oidToDer(dotted).getBytes())
}

function integer(bytes: string): Asn1 {
  return leaf(asn1.Type.INTEGER, bytes)
}

function boolean(value: boolean): Asn1 {
  return leaf(asn1.Type.BOOLEAN, value ? '\xff' : '\x00')
}

function bits(bytes: string, unused = 0): Asn1 {
  return leaf(asn1.Type.BITSTRING, String.fromCharCode(unused) + bytes)
}

function printable(text: string): Asn1 {
  return leaf(asn1.Type.PRINTABLESTRING, text)
}

function nothing(): Asn1 {
  return leaf(asn1.Type.NULL, '')
}

function time(date: Date): Asn1 {
  // Two-digit years end in 2049 (RFC 5280, 4.1.2.5).
  return date.getUTCFullYear() < 2050
    ? leaf(asn1.Type.UTCTIME, asn1.dateToUtcTime(date))
    : leaf(asn1.Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date))
}

function bytesOf(node: Asn1): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), 'latin1')
}
