import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { readWire, writeStrings, type WireReader } from './wire-reader.ts'

/** The kinds of public keys that can log in. */
export type KeyType =
  | 'ssh-ed25519'
  | 'ecdsa-sha2-nistp256'
  | 'ecdsa-sha2-nistp384'
  | 'ecdsa-sha2-nistp521'
  | 'ssh-rsa'
  | 'sk-ssh-ed25519@openssh.com'
  | 'sk-ecdsa-sha2-nistp256@openssh.com'

/** A public key, parsed and found sound. */
export interface PublicKey {
  readonly type: KeyType
  /** The key as SSH sends it. */
  readonly blob: Buffer
  /** `SHA256:...`, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string
  /** In authorized-keys form, without comment. */
  readonly text: string
  /** For node:crypto. */
  readonly key: KeyObject
  /** What a security key was made for; only `sk-` keys have it. */
  readonly application?: string
}

/** A key is not taken. The sentence is for the log. */
export class KeyError extends Error {
  override readonly name = 'KeyError'
}

/** Largest key blob that is looked at: an RSA key of 16384 bits has two kilobytes. */
const mostKeyBytes = 16 * 1024
const leastRsaBits = 2048
const mostRsaBits = 16_384

/** Parses a public key blob. Throws a `KeyError` for anything that is not exactly one sound key of a known kind. */
export function parsePublicKey(blob: Buffer): PublicKey {
  return guarded(() => {
    if (blob.length > mostKeyBytes) throw new KeyError('The key is too long')
    const reader = readWire(blob)
    const type = reader.text()
    const key = readKeyFields(type, reader)
    if (!reader.atEnd) throw new KeyError('The key has bytes after its end')
    return describeKey(key, blob)
  })
}

/** The fields of a key without its type name. */
export interface KeyFields {
  readonly type: KeyType
  readonly key: KeyObject
  readonly application?: string
}

/** Reads the fields that follow the type name; certificates hold the same ones. */
export function readKeyFields(type: string, reader: WireReader): KeyFields {
  switch (type) {
    case 'ssh-ed25519':
      return { type, key: ed25519(reader.bytes()) }
    case 'sk-ssh-ed25519@openssh.com':
      return { type, key: ed25519(reader.bytes()), application: reader.text() }
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521':
      return { type, key: ecdsa(type.slice('ecdsa-sha2-'.length), reader) }
    case 'sk-ecdsa-sha2-nistp256@openssh.com':
      return { type, key: ecdsa('nistp256', reader), application: reader.text() }
    case 'ssh-rsa':
      return { type, key: rsa(reader.bytes(), reader.bytes()) }
    default:
      throw new KeyError(`Keys of the kind "${printable(type)}" are not supported`)
  }
}

/** Completes key fields with what is derived from the blob. */
export function describeKey(fields: KeyFields, blob: Buffer): PublicKey {
  return {
    ...fields,
    blob,
    fingerprint: fingerprintOf(blob),
    text: `${fields.type} ${blob.toString('base64')}`,
  }
}

/** `SHA256:...` of a key blob, without padding, as OpenSSH prints it. */
export function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}

/**
 * Parses one line of authorized keys. Options before the key (`from=`, `command=`, `cert-authority` ...) are an
 * error: ignoring a restriction would let in whom it keeps out.
 */
export function parseAuthorizedKey(line: string): PublicKey & { readonly comment: string } {
  const trimmed = line.trim()
  const [type = '', base64 = '', ...comment] = trimmed.split(/\s+/)
  if (!/^[a-z0-9@.-]+$/.test(type) || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length < 16)
    throw new KeyError(
      /\b(ssh-|ecdsa-|sk-)/.test(trimmed)
        ? 'The line has options before the key, which are not supported'
        : 'The line is not a public key',
    )
  const key = parsePublicKey(Buffer.from(base64, 'base64'))
  if (key.type !== type) throw new KeyError('The name of the key type and the key disagree')
  return { ...key, comment: comment.join(' ') }
}

/** The type name and the fields of a key as one blob. */
export function keyBlob(type: string, fields: Buffer): Buffer {
  return Buffer.concat([writeStrings(type), fields])
}

/** Runs `action`; whatever malformed bytes made it throw becomes a `KeyError`. */
export function guarded<T>(action: () => T): T {
  try {
    return action()
  } catch (error) {
    if (error instanceof KeyError) throw error
    throw new KeyError('The key is malformed', { cause: error })
  }
}

/** Text of a client for a message: short and plain. */
export function printable(text: string): string {
  return text.slice(0, 64).replace(/[^\x20-\x7e]/g, '?')
}

function ed25519(point: Buffer): KeyObject {
  if (point.length !== 32) throw new KeyError('The Ed25519 key has a wrong length')
  return jwk({ kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') })
}

const curves: Readonly<Record<string, { readonly name: string; readonly bytes: number }>> = {
  nistp256: { name: 'P-256', bytes: 32 },
  nistp384: { name: 'P-384', bytes: 48 },
  nistp521: { name: 'P-521', bytes: 66 },
}

function ecdsa(curveName: string, reader: WireReader): KeyObject {
  const curve = curves[curveName]
  if (curve === undefined || reader.text() !== curveName) throw new KeyError('The curve of the key is wrong')
  const point = reader.bytes()
  if (point.length !== 1 + 2 * curve.bytes || point[0] !== 4)
    throw new KeyError('The point of the ECDSA key is not in the plain form')
  const [x, y] = [point.subarray(1, 1 + curve.bytes), point.subarray(1 + curve.bytes)]
  return jwk({ kty: 'EC', crv: curve.name, x: x.toString('base64url'), y: y.toString('base64url') })
}

function rsa(exponent: Buffer, modulus: Buffer): KeyObject {
  const [e, n] = [unsigned(exponent), unsigned(modulus)]
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24
  if (bits < leastRsaBits) throw new KeyError(`The RSA key has fewer than ${leastRsaBits} bits`)
  if (bits > mostRsaBits) throw new KeyError(`The RSA key has more than ${mostRsaBits} bits`)
  // A huge exponent would make checking a signature as slow as making one.
  if (e.length > 8 || ((e.at(-1) ?? 0) & 1) === 0) throw new KeyError('The RSA key has an unusual exponent')
  return jwk({ kty: 'RSA', e: e.toString('base64url'), n: n.toString('base64url') })
}

/** The magnitude of a positive mpint. */
function unsigned(mpint: Buffer): Buffer {
  if (((mpint[0] ?? 0) & 0x80) !== 0) throw new KeyError('The key has a negative number')
  let start = 0
  while (start < mpint.length && mpint[start] === 0) start += 1
  return mpint.subarray(start)
}

function jwk(key: Readonly<Record<string, string>>): KeyObject {
  return createPublicKey({ format: 'jwk', key })
}
