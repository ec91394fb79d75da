import { createIpSet } from './ip-set.ts'
import {
  describeKey,
  fingerprintOf,
  guarded,
  keyBlob,
  KeyError,
  parsePublicKey,
  printable,
  readKeyFields,
  type PublicKey,
} from './public-key.ts'
import { checkSignature } from './signature.ts'
import { readWire } from './wire-reader.ts'

/** An OpenSSH user certificate (PROTOCOL.certkeys), parsed; nothing of it is trusted before `checkCertificate`. */
export interface Certificate {
  /** The key it certifies. */
  readonly key: PublicKey
  readonly serial: bigint
  readonly kind: 'user' | 'host'
  readonly keyId: string
  readonly principals: readonly string[]
  /** Seconds since 1970. */
  readonly validAfter: bigint
  readonly validBefore: bigint
  readonly criticalOptions: readonly { readonly name: string; readonly data: Buffer }[]
  readonly authority: PublicKey
  readonly signedPart: Buffer
  readonly signature: Buffer
  readonly blob: Buffer
}

/** Whom and what certificates are accepted from. */
export interface CertificateRules {
  /** Trusted authorities, by fingerprint. */
  readonly authorities: ReadonlySet<string>
  /** Fingerprints of revoked keys, certificates and authorities. */
  readonly revoked: ReadonlySet<string>
  readonly username: string
  readonly address: string
  /** Milliseconds since 1970. */
  readonly now: number
  /** Authorities' RSA signatures with SHA-1. Default no. */
  readonly sha1?: boolean
}

/** What an algorithm name or key type carries when it stands for a certificate. */
export const certificateSuffix = '-cert-v01@openssh.com'

/** Whether `blob` says it is a certificate. */
export function isCertificate(blob: Buffer): boolean {
  if (blob.length < 4) return false
  const length = blob.readUInt32BE(0)
  return (
    length < 100 &&
    blob
      .subarray(4, 4 + length)
      .toString('latin1')
      .endsWith(certificateSuffix)
  )
}

/** Parses a certificate. Throws a `KeyError` for anything that is not exactly one. */
export function parseCertificate(blob: Buffer): Certificate {
  return guarded(() => {
    if (blob.length > mostCertificateBytes) throw new KeyError('The certificate is too long')
    const reader = readWire(blob)
    const type = plainType(reader.text())
    reader.bytes() // the nonce
    const start = reader.position
    const fields = readKeyFields(type, reader)
    const key = describeKey(fields, keyBlob(type, blob.subarray(start, reader.position)))
    const serial = reader.uint64()
    const kind = kindOf(reader.uint32())
    const keyId = reader.text()
    const principals = readList(reader.bytes())
    const [validAfter, validBefore] = [reader.uint64(), reader.uint64()]
    const criticalOptions = readOptions(reader.bytes())
    reader.bytes() // extensions: permissions for things this server does not offer
    reader.bytes() // reserved
    const authorityBlob = reader.bytes()
    if (isCertificate(authorityBlob)) throw new KeyError('The certificate is signed by a certificate')
    const authority = parsePublicKey(authorityBlob)
    const signedPart = blob.subarray(0, reader.position)
    const signature = reader.bytes()
    if (!reader.atEnd) throw new KeyError('The certificate has bytes after its end')
    return {
      ...{ key, serial, kind, keyId, principals, validAfter, validBefore, criticalOptions },
      ...{ authority, signedPart, signature, blob },
    }
  })
}

/** Checks everything that makes a certificate good for this login. Throws a `KeyError` that says what is wrong. */
export function checkCertificate(certificate: Certificate, rules: CertificateRules): void {
  if (certificate.kind !== 'user') throw new KeyError('The certificate is for hosts, not for users')
  if (!rules.authorities.has(certificate.authority.fingerprint))
    throw new KeyError(`The authority ${certificate.authority.fingerprint} is not trusted`)
  const { signature, signedPart, authority } = certificate
  checkSignature(authority, signedPart, signature, {
    algorithm: authoritySignature(certificate),
    sha1: rules.sha1 === true,
  })
  checkRevocation(certificate, rules.revoked)
  const now = BigInt(Math.floor(rules.now / 1000))
  if (now < certificate.validAfter) throw new KeyError('The certificate is not valid yet')
  if (now >= certificate.validBefore) throw new KeyError('The certificate is no longer valid')
  if (certificate.principals.length === 0) throw new KeyError('The certificate names no principals')
  if (!certificate.principals.includes(rules.username))
    throw new KeyError('The certificate does not name this user as a principal')
  for (const option of certificate.criticalOptions) checkOption(option, rules.address)
}

const mostCertificateBytes = 64 * 1024

function plainType(type: string): string {
  if (!type.endsWith(certificateSuffix)) throw new KeyError('This is not a certificate')
  const plain = type.slice(0, -certificateSuffix.length)
  // sk-ssh-ed25519-cert-v01@openssh.com certifies sk-ssh-ed25519@openssh.com.
  return plain.startsWith('sk-') ? `${plain}@openssh.com` : plain
}

function kindOf(number: number): 'user' | 'host' {
  if (number === 1) return 'user'
  if (number === 2) return 'host'
  throw new KeyError('The certificate is of an unknown kind')
}

function readList(bytes: Buffer): string[] {
  const reader = readWire(bytes)
  const texts: string[] = []
  while (!reader.atEnd) texts.push(reader.text())
  return texts
}

function readOptions(bytes: Buffer): { name: string; data: Buffer }[] {
  const reader = readWire(bytes)
  const options: { name: string; data: Buffer }[] = []
  while (!reader.atEnd) options.push({ name: reader.text(), data: reader.bytes() })
  return options
}

/** The algorithm with which the authority signed, as far as its key allows a choice. */
function authoritySignature({ authority, signature }: Certificate): string {
  if (authority.type !== 'ssh-rsa') return authority.type
  return guarded(() => readWire(signature).text())
}

function checkRevocation({ key, authority, blob }: Certificate, revoked: ReadonlySet<string>): void {
  if (revoked.has(authority.fingerprint)) throw new KeyError('The authority of the certificate is revoked')
  if (revoked.has(key.fingerprint) || revoked.has(fingerprintOf(blob)))
    throw new KeyError('The certificate is revoked')
}

function checkOption(
  { name, data }: { readonly name: string; readonly data: Buffer },
  address: string,
): void {
  if (name !== 'source-address')
    throw new KeyError(`The certificate has the critical option "${printable(name)}", which is not supported`)
  const networks = guarded(() => readWire(data).text()).split(',')
  const allowed = guarded(() => createIpSet(networks))
  if (!allowed.has(address)) throw new KeyError('The certificate is not valid from this address')
}
