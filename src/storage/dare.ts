import { createDecipheriv, hkdfSync } from 'node:crypto'
import { FileError } from '../base/errors.ts'
import { corrupted } from './sealed-format.ts'

/*
 * Files that SFTPGo's encrypted file system wrote, for reading: a header of 33 bytes (version 0x10 and 32 random
 * bytes), then packages of DARE 2.0. A package is a header of 16 bytes (version 0x20, cipher, length less one in 16
 * bits, nonce), the cipher text of up to 64 KiB, and a tag. The file's key is HKDF-SHA256 of the passphrase with the
 * random bytes as salt. https://github.com/minio/sio and SFTPGo's docs/dare.md describe them.
 */

/** Plain bytes of every package but the last. */
export const packageBytes = 65_536
const packageHeader = 16
const packageTag = 16
/** What a package takes more than it holds. */
export const packageOverhead = packageHeader + packageTag
export const dareHeaderBytes = 33

/** Whether these bytes begin a file of SFTPGo's. */
export function isDare(start: Buffer): boolean {
  if (start[0] !== 0x10) return false
  return start.length <= dareHeaderBytes || start[dareHeaderBytes] === 0x20
}

/** The plain bytes of such a file of `size` bytes. */
export function darePlainSizeOf(size: number): number {
  const body = Math.max(0, size - dareHeaderBytes)
  const whole = Math.floor(body / (packageBytes + packageOverhead))
  const rest = body % (packageBytes + packageOverhead)
  return whole * packageBytes + Math.max(0, rest - packageOverhead)
}

/** Where package `index` begins. */
export function packageOffset(index: number): number {
  return dareHeaderBytes + index * (packageBytes + packageOverhead)
}

/** The key of the file that begins with `header`. */
export function dareKeyOf(header: Buffer, passphrase: Buffer): Buffer {
  if (header.length < dareHeaderBytes) throw corrupted('its header is cut')
  return Buffer.from(hkdfSync('sha256', passphrase, header.subarray(1, dareHeaderBytes), Buffer.alloc(0), 32))
}

/** Opens package `index`, the last one when `isLast`; `nonce` is that of the file's first package, once it is known. */
export function openPackage(key: Buffer, sealed: Buffer, { index, isLast, nonce }: PackagePlace): Buffer {
  const length = sealed.length - packageOverhead
  if (length <= 0 || sealed[0] !== 0x20) throw corrupted(`package ${index} is cut`)
  if (sealed.readUInt16LE(2) + 1 !== length) throw corrupted(`package ${index} has another length`)
  // The highest bit of the nonce says that no package follows: a file cut between packages lacks it.
  if (((sealed[4] ?? 0) & 0x80) !== (isLast ? 0x80 : 0)) throw corrupted('packages are missing at its end')
  if (nonce !== undefined && !nonceOf(sealed).equals(nonce))
    throw corrupted(`package ${index} is of another file`)
  return decrypted(key, sealed, index)
}

/** Which package of its file it is. */
export interface PackagePlace {
  readonly index: number
  readonly isLast: boolean
  readonly nonce: Buffer | undefined
}

/** What the nonces of all packages of a file have in common. */
export function nonceOf(sealed: Buffer): Buffer {
  const nonce = Buffer.from(sealed.subarray(4, packageHeader))
  nonce[0] = (nonce[0] ?? 0) & 0x7f
  return nonce
}

function decrypted(key: Buffer, sealed: Buffer, index: number): Buffer {
  const nonce = Buffer.from(sealed.subarray(4, packageHeader))
  nonce.writeUInt32LE((nonce.readUInt32LE(8) ^ index) >>> 0, 8)
  const end = sealed.length - packageTag
  const decipher = decipherOf(sealed[1], key, nonce)
  decipher.setAAD(sealed.subarray(0, 4), { plaintextLength: end - packageHeader })
  decipher.setAuthTag(sealed.subarray(end))
  const plain = decipher.update(sealed.subarray(packageHeader, end))
  try {
    decipher.final()
  } catch (cause) {
    // SFTPGo's format cannot tell a wrong passphrase from a changed file; the first package fails for the former.
    if (index > 0) throw corrupted(`package ${index} is not what was written there`, cause)
    throw new FileError('wrong-key', 'Cannot open a file of SFTPGo: another passphrase, or it was changed', {
      cause,
    })
  }
  return plain
}

function decipherOf(cipher: number | undefined, key: Buffer, nonce: Buffer) {
  const options = { authTagLength: packageTag }
  if (cipher === 0) return createDecipheriv('aes-256-gcm', key, nonce, options)
  if (cipher === 1) return createDecipheriv('chacha20-poly1305', key, nonce, options)
  throw new FileError('unsupported', 'Cannot read a file of SFTPGo with a cipher of that number')
}
