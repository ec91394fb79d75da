import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { SecretError } from '../base/errors.ts'
import { Secret, type StoredSecret } from './secret.ts'

/** Seals and opens secrets in one stored form, marked by its status. */
export interface LocalKeeper {
  readonly status: string
  seal(secret: Secret, additionalData: string): StoredSecret
  /** Throws `wrong-key` when the key or the data does not fit, `malformed` when it cannot be a secret of this form. */
  open(stored: StoredSecret): Secret
}

const secretboxNonceBytes = 24
const gcmNonceBytes = 12
const gcmTagBytes = 16
const keyBytes = 32

/**
 * SFTPGo's `local://`: NaCl secretbox under a key that HKDF derives from the master key, or without one from the
 * secret's own random key. Secrets sealed without a master key (mode 0) open whether or not there is one now.
 */
export function createSecretboxKeeper(masterKey = ''): LocalKeeper {
  return {
    status: 'Secretbox',
    seal(secret, additionalData) {
      const key = randomBytes(keyBytes)
      const mode = masterKey === '' ? 0 : 1
      const nonce = randomBytes(secretboxNonceBytes)
      const box = xsalsa20poly1305(derive(key, additionalData, mode), nonce)
      const sealed = box.encrypt(Buffer.from(secret.reveal()))
      const payload = Buffer.concat([nonce, sealed]).toString('base64')
      return stored('Secretbox', { payload, key, additionalData, mode })
    },
    open(secret) {
      const { key, additionalData } = partsOf(secret)
      const sealed = Buffer.from(secret.payload ?? '', 'base64')
      if (sealed.length < secretboxNonceBytes + 16) throw malformed(secret)
      const mode = secret.mode === 1 ? 1 : 0
      if (mode === 1 && masterKey === '')
        throw new SecretError('wrong-key', 'The secret was sealed with a master key, and there is none')
      const box = xsalsa20poly1305(derive(key, additionalData, mode), sealed.subarray(0, secretboxNonceBytes))
      try {
        return new Secret(Buffer.from(box.decrypt(sealed.subarray(secretboxNonceBytes))).toString('utf8'))
      } catch (cause) {
        throw wrongKey(cause)
      }
    },
  }

  function derive(key: Buffer, additionalData: string, mode: 0 | 1): Buffer {
    const material = mode === 1 ? Buffer.from(masterKey) : folded(key, additionalData)
    return Buffer.from(hkdfSync('sha256', material, key, Buffer.from(additionalData), keyBytes))
  }
}

/** SFTPGo's `builtin://`: AES-256-GCM under a key folded from the secret's own random key; the master key plays no part. */
export function createBuiltinKeeper(): LocalKeeper {
  return {
    status: 'AES-256-GCM',
    seal(secret, additionalData) {
      const key = randomBytes(keyBytes)
      const nonce = randomBytes(gcmNonceBytes)
      const cipher = createCipheriv('aes-256-gcm', folded(key, additionalData), nonce)
      cipher.setAAD(Buffer.from(additionalData))
      const sealed = [nonce, cipher.update(secret.reveal(), 'utf8'), cipher.final(), cipher.getAuthTag()]
      return stored('AES-256-GCM', {
        payload: Buffer.concat(sealed).toString('hex'),
        key,
        additionalData,
        mode: 0,
      })
    },
    open(secret) {
      const { key, additionalData } = partsOf(secret)
      const sealed = Buffer.from(secret.payload ?? '', 'hex')
      if (sealed.length < gcmNonceBytes + gcmTagBytes) throw malformed(secret)
      const cipher = createDecipheriv(
        'aes-256-gcm',
        folded(key, additionalData),
        sealed.subarray(0, gcmNonceBytes),
        {
          authTagLength: gcmTagBytes,
        },
      )
      cipher.setAAD(Buffer.from(additionalData))
      cipher.setAuthTag(sealed.subarray(-gcmTagBytes))
      try {
        const body = sealed.subarray(gcmNonceBytes, -gcmTagBytes)
        return new Secret(Buffer.concat([cipher.update(body), cipher.final()]).toString('utf8'))
      } catch (cause) {
        throw wrongKey(cause)
      }
    },
  }
}

/** SHA-256 of key, data, key: how both forms make 32 bytes out of a secret's own key. */
function folded(key: Buffer, additionalData: string): Buffer {
  return createHash('sha256').update(key).update(additionalData).update(key).digest()
}

function partsOf(secret: StoredSecret): { key: Buffer; additionalData: string } {
  if (!/^[0-9a-fA-F]{64}$/.test(secret.key ?? '')) throw malformed(secret)
  return { key: Buffer.from(secret.key ?? '', 'hex'), additionalData: secret.additional_data ?? '' }
}

/** What is empty is left out, as SFTPGo leaves it out. */
function stored(
  status: string,
  {
    payload,
    key,
    additionalData,
    mode,
  }: {
    readonly payload: string
    readonly key: Buffer
    readonly additionalData: string
    readonly mode: number
  },
): StoredSecret {
  return {
    ...{ status, payload, key: key.toString('hex') },
    ...(additionalData === '' ? {} : { additional_data: additionalData }),
    ...(mode === 0 ? {} : { mode }),
  }
}

function malformed({ status = '' }: StoredSecret): SecretError {
  return new SecretError('malformed', `The stored secret is marked "${status}" and has not its form`)
}

function wrongKey(cause: unknown): SecretError {
  return new SecretError('wrong-key', 'The secret does not open with this key and these data', { cause })
}
