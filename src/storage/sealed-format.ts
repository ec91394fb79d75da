import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  randomBytes,
  randomFillSync,
  timingSafeEqual,
} from 'node:crypto'
import { FileError } from '../base/errors.ts'
import { type ChunkCipher, nativeChunkCipher } from '../native/chunk-cipher.ts'

/*
 * The bytes of an encrypted file; docs/encrypted-storage.md says the same in words, with what it withstands.
 *
 *   header   128 bytes: what the file is, its key wrapped by the user's key, how long it is
 *   chunks   each 64 KiB of plain text (the last one less): nonce 12, cipher text, tag 16
 */

/** Plain bytes of a whole chunk. */
export const chunkBytes = 65_536
/** What a chunk takes more than it holds. */
const nonceBytes = 12
const tagBytes = 16
export const chunkOverhead = nonceBytes + tagBytes
export const headerBytes = 128

/** How a file stands on the disk. */
export type SealedState =
  /** It has exactly `size` plain bytes: more or less of them was not our doing. */
  | { readonly at: 'complete'; readonly size: number }
  /** It was being written: it has at least `size` plain bytes, and chunks behind them speak for themselves. */
  | { readonly at: 'writing'; readonly size: number }

/** The keys of one file. */
export interface FileKeys {
  readonly fileId: Buffer
  readonly dataKey: Buffer
}

/** What a header says. */
export interface SealedHeader {
  readonly keys: FileKeys
  readonly state: SealedState
}

/** Where a plain size and its sealed size meet. */
export function sealedSizeOf(plain: number): number {
  const whole = Math.floor(plain / chunkBytes)
  const rest = plain % chunkBytes
  return headerBytes + whole * (chunkBytes + chunkOverhead) + (rest === 0 ? 0 : rest + chunkOverhead)
}

/** The plain bytes that fit into a sealed file of that size. */
export function plainSizeOf(sealed: number): number {
  const body = Math.max(0, sealed - headerBytes)
  const whole = Math.floor(body / (chunkBytes + chunkOverhead))
  const rest = body % (chunkBytes + chunkOverhead)
  return whole * chunkBytes + Math.max(0, rest - chunkOverhead)
}

/** Where chunk `index` begins in the sealed file. */
export function chunkOffset(index: number): number {
  return headerBytes + index * (chunkBytes + chunkOverhead)
}

/** Keys for a new file. */
export function newFileKeys(): FileKeys {
  return { fileId: randomBytes(16), dataKey: randomBytes(32) }
}

/** Whether these bytes begin one of our files. */
export function isSealed(start: Buffer): boolean {
  return start.length >= magic.length && start.subarray(0, magic.length).equals(magic)
}

/** Writes the header of a file down, its data key wrapped by `userKey`. */
export function writeHeader({ keys, state }: SealedHeader, userKey: Buffer): Buffer {
  const header = Buffer.alloc(headerBytes)
  magic.copy(header)
  header.set([formatVersion, aes256Gcm, chunkShift], 8)
  keyIdOf(userKey).copy(header, at.keyId)
  keys.fileId.copy(header, at.fileId)
  const nonce = randomBytes(nonceBytes)
  nonce.copy(header, at.wrapNonce)
  const cipher = createCipheriv('aes-256-gcm', userKey, nonce).setAAD(header.subarray(0, at.wrapNonce))
  cipher.update(keys.dataKey).copy(header, at.wrapped)
  cipher.final()
  cipher.getAuthTag().copy(header, at.wrapTag)
  writeState(header, keys, state)
  return header
}

/** Only the part of a header that tells the state, and where it goes: the rest stays as it is on the disk. */
export function statePatch(
  keys: FileKeys,
  state: SealedState,
): { readonly bytes: Buffer; readonly offset: number } {
  const header = Buffer.alloc(headerBytes)
  writeState(header, keys, state)
  return { bytes: header.subarray(at.state), offset: at.state }
}

/** Reads a header with whichever of `userKeys` made it. Throws `wrong-key` or `corrupted`. */
export function readHeader(header: Buffer, userKeys: readonly Buffer[]): SealedHeader {
  if (!isSealed(header)) throw corrupted('it does not begin as an encrypted file')
  if (header.length < headerBytes) throw cutShort('its header is cut')
  if (header[8] !== formatVersion || header[9] !== aes256Gcm || header[10] !== chunkShift)
    throw new FileError('unsupported', 'Cannot read an encrypted file of a newer format')
  const id = header.subarray(at.keyId, at.keyId + 8)
  const userKey = userKeys.find((key) => keyIdOf(key).equals(id))
  if (userKey === undefined)
    throw new FileError('wrong-key', 'Cannot open a file: it was encrypted with another key')
  const keys = {
    fileId: Buffer.from(header.subarray(at.fileId, at.wrapNonce)),
    dataKey: unwrap(header, userKey),
  }
  return { keys, state: readState(header, keys) }
}

/**
 * The part of `header` that changes when another user's key is to open the file, to be written over its beginning.
 * Undefined when `to` opens it already.
 */
export function rewrappedStart(header: Buffer, from: readonly Buffer[], to: Buffer): Buffer | undefined {
  if (header.subarray(at.keyId, at.fileId).equals(keyIdOf(to))) return undefined
  return writeHeader(readHeader(header, from), to).subarray(0, at.state)
}

/** Seals and opens chunks; made once for all files of a place. */
export interface ChunkSealer {
  /** Seals chunk `index` into `into`, which has room for exactly that: the plain bytes and `chunkOverhead` more. */
  seal(keys: FileKeys, index: number, plain: Buffer, into: Buffer): void
  /** Opens chunk `index` in place; its plain bytes, a part of `sealed`. Throws `corrupted` or `cut-short`. */
  open(keys: FileKeys, index: number, sealed: Buffer): Buffer
}

/** Creates it, over native code where there is some. */
export function createChunkSealer(cipher: ChunkCipher | undefined = nativeChunkCipher()): ChunkSealer {
  const gcm = cipher ?? portableCipher
  const nextNonce = createNonces()
  return {
    seal({ dataKey: key, fileId }, index, plain, into) {
      const end = into.length - tagBytes
      const nonce = into.subarray(0, nonceBytes)
      nextNonce(nonce)
      const work = { key, nonce, bound: placeOf(fileId, index), from: plain }
      gcm.seal({ ...work, into: into.subarray(nonceBytes, end) }, into.subarray(end))
    },
    open({ dataKey: key, fileId }, index, sealed) {
      if (sealed.length <= chunkOverhead) throw cutShort(`chunk ${index} is cut`)
      const end = sealed.length - tagBytes
      const plain = sealed.subarray(nonceBytes, end)
      const nonce = sealed.subarray(0, nonceBytes)
      const work = { key, nonce, bound: placeOf(fileId, index), from: plain, into: plain }
      if (gcm.open(work, sealed.subarray(end))) return plain
      plain.fill(0)
      throw corrupted(`chunk ${index} is not what was written there`)
    },
  }
}

/** Random nonces, each given once. Asking for many at a time costs as much as asking for one. */
function createNonces(): (into: Buffer) => void {
  const drawn = Buffer.alloc(256 * nonceBytes)
  let next = drawn.length
  return (into) => {
    if (next === drawn.length) {
      randomFillSync(drawn)
      next = 0
    }
    drawn.copy(into, 0, next, next + nonceBytes)
    next += nonceBytes
  }
}

const portableCipher: ChunkCipher = {
  seal({ key, nonce, bound, from, into }, tag) {
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(bound)
    cipher.update(from).copy(into)
    cipher.final()
    cipher.getAuthTag().copy(tag)
  },
  open({ key, nonce, bound, from, into }, tag) {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(bound).setAuthTag(tag)
    decipher.update(from).copy(into)
    try {
      decipher.final()
      return true
    } catch {
      return false
    }
  },
}

/** The place in a header that is 1 once the file is complete. Only a glance: `readHeader` proves it. */
export const sealedStateByte = 96

/** A file that has not the length it was written with, as an error. */
export function cutShort(what: string): FileError {
  return new FileError('cut-short', `Cannot read an encrypted file: ${what}`)
}

/** What is wrong with the bytes of a file, as an error. */
export function corrupted(what: string, cause?: unknown): FileError {
  return new FileError('corrupted', `Cannot read an encrypted file: ${what}`, { cause })
}

const magic = Buffer.from('sftpgots', 'latin1')
const formatVersion = 1
const aes256Gcm = 1
/** A chunk holds two to this power. */
const chunkShift = 16
/** Where the parts of a header begin. */
const at = {
  keyId: 12,
  fileId: 20,
  wrapNonce: 36,
  wrapped: 48,
  wrapTag: 80,
  state: 96,
  size: 104,
  stateTag: 112,
} as const

function unwrap(header: Buffer, userKey: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', userKey, header.subarray(at.wrapNonce, at.wrapped))
    .setAAD(header.subarray(0, at.wrapNonce))
    .setAuthTag(header.subarray(at.wrapTag, at.state))
  const key = decipher.update(header.subarray(at.wrapped, at.wrapTag))
  try {
    decipher.final()
  } catch (cause) {
    throw corrupted('its header was changed', cause)
  }
  return key
}

function writeState(header: Buffer, keys: FileKeys, state: SealedState): void {
  header[at.state] = state.at === 'complete' ? 1 : 0
  header.writeBigUInt64LE(BigInt(state.size), at.size)
  stateTagOf(header, keys).copy(header, at.stateTag)
}

function readState(header: Buffer, keys: FileKeys): SealedState {
  if (!timingSafeEqual(header.subarray(at.stateTag, headerBytes), stateTagOf(header, keys)))
    throw corrupted('its length was changed')
  const size = Number(header.readBigUInt64LE(at.size))
  return { at: header[at.state] === 1 ? 'complete' : 'writing', size }
}

function stateTagOf(header: Buffer, keys: FileKeys): Buffer {
  const mac = createHmac('sha256', keys.dataKey).update('state').update(keys.fileId)
  return mac.update(header.subarray(at.state, at.stateTag)).digest().subarray(0, tagBytes)
}

/** What a chunk is bound to: its file and its place there. */
function placeOf(fileId: Buffer, index: number): Buffer {
  const place = Buffer.allocUnsafe(24)
  fileId.copy(place)
  place.writeBigUInt64LE(BigInt(index), 16)
  return place
}

/** Tells keys apart and says nothing about them. */
function keyIdOf(userKey: Buffer): Buffer {
  return createHmac('sha256', userKey).update('key id').digest().subarray(0, 8)
}
