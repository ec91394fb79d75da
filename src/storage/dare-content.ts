import { FileError } from '../base/errors.ts'
import {
  dareHeaderBytes,
  dareKeyOf,
  darePlainSizeOf,
  nonceOf,
  openPackage,
  packageBytes,
  packageOffset,
  packageOverhead,
} from './dare.ts'
import type { SealedPlace } from './chunk-workshop.ts'
import { readFully } from './read-fully.ts'
import { corrupted } from './sealed-format.ts'
import type { SealedContent } from './sealed-content.ts'

/** Opens the content of a file that SFTPGo wrote, to be read. Its last package is checked: a cut file does not open. */
export async function openDareContent(
  place: SealedPlace,
  sealedSize: number,
  passphrase: Buffer,
): Promise<SealedContent> {
  const header = Buffer.alloc(dareHeaderBytes)
  if ((await readFully(place.file, header, 0)) < header.length) throw corrupted('its header is cut')
  const key = dareKeyOf(header, passphrase)
  const size = darePlainSizeOf(sealedSize)
  const count = Math.ceil(size / packageBytes)
  let nonce: Buffer | undefined
  let latest: { readonly index: number; readonly plain: Buffer } | undefined
  if (
    sealedSize > dareHeaderBytes &&
    (sealedSize - dareHeaderBytes) % (packageBytes + packageOverhead) <= packageOverhead
  )
    if ((sealedSize - dareHeaderBytes) % (packageBytes + packageOverhead) !== 0)
      throw corrupted('its last package is cut')
  // The first package tells the nonce that all have in common, and a wrong passphrase; the last that none is missing.
  if (count > 0) await opened(0)
  if (count > 1) await opened(count - 1)

  return {
    size,
    async read(into, position) {
      const end = Math.min(position + into.length, size)
      let at = position
      while (at < end) {
        const plain = await opened(Math.floor(at / packageBytes))
        const from = at % packageBytes
        at += plain.copy(into, at - position, from, Math.min(plain.length, from + end - at))
      }
      return Math.max(0, at - position)
    },
    write: () => refused(),
    resize: () => refused(),
    flush: () => undefined,
    release() {
      latest = undefined
    },
  }

  async function opened(index: number): Promise<Buffer> {
    if (latest?.index === index) return latest.plain
    const length = Math.min(packageBytes, size - index * packageBytes)
    const sealed = Buffer.allocUnsafe(length + packageOverhead)
    const read = await readFully(place.file, sealed, packageOffset(index))
    const bytes = sealed.subarray(0, read)
    const plain = openPackage(key, bytes, { index, isLast: index === count - 1, nonce })
    nonce ??= nonceOf(bytes)
    latest = { index, plain }
    return plain
  }
}

function refused(): Promise<never> {
  return Promise.reject(
    new FileError('unsupported', 'Cannot change a file that SFTPGo encrypted: replace it whole'),
  )
}
