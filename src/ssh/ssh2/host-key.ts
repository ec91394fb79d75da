import { createPrivateKey, sign as signWithKey, type KeyObject } from 'node:crypto'
import type { HostKey } from '../library.ts'
import { Fields, sshMpint, sshString } from '../wire.ts'
import type { Parts } from './private-parts.ts'

/** Reads a private key in any form that the library knows; throws with the reason when it is none. */
export function parseHostKey(parts: Parts, text: string): HostKey {
  const parsed = parts.parseKey(text)
  if (parsed instanceof Error) throw parsed
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  const pem = key?.getPrivatePEM() ?? null
  if (key === undefined || pem === null) throw new Error('There is no private key in it')
  const privateKey = createPrivateKey(pem)
  return {
    type: key.type,
    publicBlob: key.getPublicSSH(),
    sign: (data, algorithm) => signatureBlob(privateKey, data, algorithm),
  }
}

/** A signature with its algorithm's name before it (RFC 4253 section 6.6, RFC 5656, RFC 8332). */
function signatureBlob(key: KeyObject, data: Buffer, algorithm: string): Buffer {
  return Buffer.concat([sshString(algorithm), sshString(rawSignature(key, data, algorithm))])
}

function rawSignature(key: KeyObject, data: Buffer, algorithm: string): Buffer {
  if (algorithm === 'ssh-ed25519') return signWithKey(null, data, key)
  if (algorithm.startsWith('ecdsa-')) {
    const hash = algorithm.endsWith('256') ? 'sha256' : algorithm.endsWith('384') ? 'sha384' : 'sha512'
    const pair = signWithKey(hash, data, { key, dsaEncoding: 'ieee-p1363' })
    const half = pair.length / 2
    return Buffer.concat([sshMpint(pair.subarray(0, half)), sshMpint(pair.subarray(half))])
  }
  const hashes: Readonly<Record<string, string>> = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' }
  return signWithKey(hashes[algorithm] ?? 'sha1', data, key)
}

/** A host key in the form in which the library's exchange asks for it. It writes the algorithm's name itself. */
export function keyForLibrary(key: HostKey): object {
  return {
    type: 'ours', // a name that the library's own conversion of signatures does not know, so that it leaves ours alone
    getPublicSSH: () => key.publicBlob,
    sign: (data: Buffer, hash: string | undefined) => {
      const rsa = hash === undefined ? 'ssh-rsa' : `rsa-sha2-${hash.slice(3)}`
      const blob = key.sign(data, key.type === 'ssh-rsa' ? rsa : key.type)
      const fields = new Fields(blob, 0)
      fields.bytes()
      return fields.bytes()
    },
  }
}
