import type { PublicKey } from './public-key.ts'

/** Keys whose holders proved lately that they hold them: parsing one is a twentieth of the CPU of a login. */
export interface ProvenKeys {
  /** What parsing would give, where it is known. Whether the key may log in is asked each time. */
  find(blob: Buffer): PublicKey | undefined
  /** Only for a key that a signature was checked with: strangers' keys would push the others out. */
  keep(key: PublicKey): void
}

/** Each is a few kilobytes. */
const most = 512

/** Creates an empty memory. */
export function createProvenKeys(): ProvenKeys {
  /** By the text that parsing made of the bytes, the longest unused first. */
  const keys = new Map<string, PublicKey>()
  return {
    find(blob) {
      const name = blob.toString('base64')
      const key = keys.get(name)
      if (key === undefined) return undefined
      keys.delete(name)
      keys.set(name, key)
      return key
    },
    keep(key) {
      const name = key.text.slice(key.type.length + 1)
      if (keys.has(name)) return
      // Bytes of its own: those of the message that brought it are used again.
      keys.set(name, { ...key, blob: Buffer.from(name, 'base64') })
      if (keys.size <= most) return
      const [oldest = ''] = keys.keys()
      keys.delete(oldest)
    },
  }
}
