import { constants, createHash, verify, type KeyObject } from 'node:crypto'
import { guarded, KeyError, printable, type PublicKey } from './public-key.ts'
import { readWire, type WireReader } from './wire-reader.ts'

/** What a signature says beside being right. */
export interface SignatureDetails {
  readonly algorithm: string
  /** Of a security key: whether somebody touched it, whether it knew who, and its count of signatures. */
  readonly securityKey?: { readonly present: boolean; readonly verified: boolean; readonly counter: number }
}

/** Which signatures are taken. */
export interface SignatureRules {
  /** The algorithm that the request named, without its certificate suffix; the signature has to name the same. */
  readonly algorithm: string
  /** RSA with SHA-1, for clients of long ago. Default no. */
  readonly sha1?: boolean
}

/** Checks that `signature` (algorithm name, signature, and what security keys append) was made by `key` over `data`. Throws a `KeyError` when not. */
export function checkSignature(
  key: PublicKey,
  data: Buffer,
  signature: Buffer,
  rules: SignatureRules,
): SignatureDetails {
  return guarded(() => {
    const reader = readWire(signature)
    const algorithm = reader.text()
    if (algorithm !== rules.algorithm)
      throw new KeyError(`The signature says "${printable(algorithm)}", the request another algorithm`)
    const raw = reader.bytes()
    const securityKey = key.type.startsWith('sk-') ? readSecurityKey(reader) : undefined
    if (!reader.atEnd) throw new KeyError('The signature has bytes after its end')
    const signed = securityKey === undefined ? data : securityKeyData(key, securityKey, data)
    if (!verifyRaw(key, algorithm, signed, raw, rules)) throw new KeyError('The signature is wrong')
    // Without this bit, a program could have used the key while nobody was there.
    if (securityKey?.present === false) throw new KeyError('Nobody touched the security key')
    return securityKey === undefined ? { algorithm } : { algorithm, securityKey }
  })
}

function verifyRaw(
  key: PublicKey,
  algorithm: string,
  data: Buffer,
  raw: Buffer,
  rules: SignatureRules,
): boolean {
  switch (key.type) {
    case 'ssh-ed25519':
    case 'sk-ssh-ed25519@openssh.com':
      return algorithm === key.type && raw.length === 64 && verify(null, data, key.key, raw)
    case 'ecdsa-sha2-nistp256':
    case 'sk-ecdsa-sha2-nistp256@openssh.com':
      return algorithm === key.type && verifyEcdsa('sha256', 32, data, key.key, raw)
    case 'ecdsa-sha2-nistp384':
      return algorithm === key.type && verifyEcdsa('sha384', 48, data, key.key, raw)
    case 'ecdsa-sha2-nistp521':
      return algorithm === key.type && verifyEcdsa('sha512', 66, data, key.key, raw)
    case 'ssh-rsa':
      return verifyRsa(algorithm, data, key.key, raw, rules.sha1 === true)
  }
}

function verifyEcdsa(digest: string, bytes: number, data: Buffer, key: KeyObject, raw: Buffer): boolean {
  const reader = readWire(raw)
  const [r, s] = [fixedLength(reader.bytes(), bytes), fixedLength(reader.bytes(), bytes)]
  if (!reader.atEnd) throw new KeyError('The signature has bytes after its end')
  return verify(digest, data, { key, dsaEncoding: 'ieee-p1363' }, Buffer.concat([r, s]))
}

function verifyRsa(algorithm: string, data: Buffer, key: KeyObject, raw: Buffer, sha1: boolean): boolean {
  const digest = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512', 'ssh-rsa': 'sha1' }[algorithm]
  if (digest === undefined) throw new KeyError('The signature is of another kind than the key')
  if (digest === 'sha1' && !sha1) throw new KeyError('RSA signatures with SHA-1 are not accepted')
  const bytes = Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
  // Some clients leave leading zeros out.
  const padded = fixedLength(raw, bytes)
  return verify(digest, data, { key, padding: constants.RSA_PKCS1_PADDING }, padded)
}

/** A number in exactly `bytes` bytes. */
function fixedLength(number: Buffer, bytes: number): Buffer {
  let start = 0
  while (start < number.length - 1 && number[start] === 0) start += 1
  const magnitude = number.subarray(start)
  if (magnitude.length > bytes) throw new KeyError('A number of the signature is too long')
  return Buffer.concat([Buffer.alloc(bytes - magnitude.length), magnitude])
}

type SecurityKeyState = NonNullable<SignatureDetails['securityKey']> & { readonly flags: number }

function readSecurityKey(reader: WireReader): SecurityKeyState {
  const flags = reader.byte()
  return { flags, present: (flags & 1) !== 0, verified: (flags & 4) !== 0, counter: reader.uint32() }
}

/** What a security key signs: PROTOCOL.u2f of OpenSSH, "SSH U2F Signatures". */
function securityKeyData(key: PublicKey, state: SecurityKeyState, data: Buffer): Buffer {
  const sha256 = (bytes: string | Buffer): Buffer => createHash('sha256').update(bytes).digest()
  const tail = Buffer.alloc(5)
  tail.writeUInt8(state.flags)
  tail.writeUInt32BE(state.counter, 1)
  return Buffer.concat([sha256(key.application ?? ''), tail, sha256(data)])
}
