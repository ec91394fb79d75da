import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { sshMpint, sshString } from './wire.ts'

/** Kinds of host keys that we make. */
export type NewKeyType = 'ed25519' | 'rsa' | 'ecdsa'

/**
 * Makes a private key in OpenSSH's form (PROTOCOL.key), not encrypted.
 *
 * Not with ssh2's own maker: one in 256 of its Ed25519 keys is broken, because it drops a zero at the beginning.
 */
export function newHostKey(type: NewKeyType): string {
  const { publicBlob, privateFields } = keyParts(type)
  const check = randomBytes(4)
  const secret = Buffer.concat([check, check, ...privateFields, sshString('')])
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1))
  const whole = Buffer.concat([
    Buffer.from('openssh-key-v1\0', 'latin1'),
    sshString('none'),
    sshString('none'),
    sshString(''),
    Buffer.of(0, 0, 0, 1),
    sshString(publicBlob),
    sshString(Buffer.concat([secret, padding])),
  ])
  const lines = whole.toString('base64').match(/.{1,70}/g) ?? []
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n')
}

interface KeyParts {
  readonly publicBlob: Buffer
  readonly privateFields: readonly Buffer[]
}

function keyParts(type: NewKeyType): KeyParts {
  switch (type) {
    case 'ed25519':
      return ed25519Parts()
    case 'rsa':
      return rsaParts()
    case 'ecdsa':
      return ecdsaParts()
  }
}

function ed25519Parts(): KeyParts {
  const { x, d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const [point, seed] = [number(x), number(d)]
  const publicBlob = Buffer.concat([sshString('ssh-ed25519'), sshString(point)])
  return { publicBlob, privateFields: [publicBlob, sshString(Buffer.concat([seed, point]))] }
}

function rsaParts(): KeyParts {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const { n, e, d, qi, p, q } = privateKey.export({ format: 'jwk' })
  const name = sshString('ssh-rsa')
  return {
    publicBlob: Buffer.concat([name, sshMpint(number(e)), sshMpint(number(n))]),
    privateFields: [name, ...[n, e, d, qi, p, q].map((part) => sshMpint(number(part)))],
  }
}

function ecdsaParts(): KeyParts {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const { x, y, d } = privateKey.export({ format: 'jwk' })
  const point = Buffer.concat([Buffer.of(4), number(x), number(y)])
  const publicBlob = Buffer.concat([
    sshString('ecdsa-sha2-nistp256'),
    sshString('nistp256'),
    sshString(point),
  ])
  return { publicBlob, privateFields: [publicBlob, sshMpint(number(d))] }
}

/** A number of a JSON Web Key: Node writes it with the length of its field, zeros included. */
function number(part: string | undefined): Buffer {
  if (part === undefined) throw new Error('A part of the new key is missing')
  return Buffer.from(part, 'base64url')
}
