import { createHash, timingSafeEqual } from 'node:crypto'
import { PluginError } from '../base/errors.ts'

/** A SHA-256 as configured: 64 hexadecimal digits, in lower case. */
export type Digest = string

/** Largest program or file of a plugin that is taken. */
const largestBytes = 1024 * 1024 * 1024
const mostChunkBytes = 1024 * 1024
const leastChunkBytes = 64 * 1024

/** Reads a configured digest; says what is wrong with one that is none. */
export function parseDigest(text: string, name: string): Digest {
  const digest = text.trim().toLowerCase()
  if (/^[0-9a-f]{64}$/.test(digest)) return digest
  throw new PluginError(
    'checksum-mismatch',
    `Cannot start "${name}": its sha256sum has ${digest.length} characters where 64 hexadecimal digits are needed`,
  )
}

/** Whether two digests are the same; takes the same time wherever they differ. */
export function sameDigest(a: Digest, b: Digest): boolean {
  const left = Buffer.from(a, 'latin1')
  const right = Buffer.from(b, 'latin1')
  return left.length === right.length && timingSafeEqual(left, right)
}

/** What was read: its digest, its length and its first bytes. */
export interface HashedBytes {
  readonly sha256: Digest
  readonly sizeBytes: number
  readonly head: Buffer
}

/** What bytes are read from; an open file is one. */
export interface ByteSource {
  stat(): Promise<{ readonly size: number }>
  read(
    into: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>
}

/**
 * Reads `source` to its end, hands each piece to `keep` and hashes the very bytes that were handed over.
 *
 * The file is read once: what `keep` got is what the digest is of, whatever happens to the file meanwhile.
 */
export async function hashWhileReading(
  source: ByteSource,
  keep: (piece: Buffer, position: number) => Promise<void> = async () => {},
): Promise<HashedBytes> {
  const hash = createHash('sha256')
  let head: Buffer = Buffer.alloc(0)
  const sizeBytes = await readWhole(source, async (piece, position) => {
    // Nobody else holds this piece: it cannot change between the two uses.
    const kept = keep(piece, position)
    hash.update(piece)
    if (head.length < 256) head = Buffer.concat([head, piece.subarray(0, 256 - head.length)])
    await kept
  })
  return { sha256: hash.digest('hex'), sizeBytes, head }
}

/** Reads `source` to its end, once, and hands each piece to `take`, which may use it until it resolves. */
export async function readWhole(
  source: ByteSource,
  take: (piece: Buffer, position: number) => Promise<void>,
): Promise<number> {
  const { size } = await source.stat()
  const chunkBytes = Math.min(mostChunkBytes, Math.max(leastChunkBytes, size))
  let position = 0
  // Two buffers: the next piece is read while this one is used.
  let [spare, busy] = [Buffer.allocUnsafeSlow(chunkBytes), Buffer.allocUnsafeSlow(chunkBytes)]
  let reading = source.read(busy, 0, chunkBytes, position)
  for (;;) {
    const { bytesRead } = await reading
    if (bytesRead === 0) return position
    if (position + bytesRead > largestBytes)
      throw new PluginError('too-large', 'Cannot take a program of more than 1 GiB')
    const piece = busy.subarray(0, bytesRead)
    reading = source.read(spare, 0, chunkBytes, position + bytesRead)
    // Its failure is seen where it is awaited, which may be after `take` has failed first.
    reading.catch(() => {})
    ;[spare, busy] = [busy, spare]
    await take(piece, position)
    position += bytesRead
  }
}

/** The digest of bytes at hand. */
export function digestOf(bytes: Buffer): Digest {
  return createHash('sha256').update(bytes).digest('hex')
}
