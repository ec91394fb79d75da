import { FileError } from '../base/errors.ts'
import { addressOf } from './library.ts'

/** Memory of our own that C may read and write while a call runs. The garbage collector never moves it. */
export interface PinnedBuffer {
  readonly bytes: Buffer
  readonly address: number
}

/** Makes memory for C, zeroed. */
export function pinnedBuffer(size: number): PinnedBuffer {
  const bytes = Buffer.allocUnsafeSlow(size).fill(0)
  return { bytes, address: addressOf(bytes) }
}

/** The memory of one call: two texts and one structure. Whoever holds it makes no second call meanwhile. */
export interface Arena {
  /** Puts `text` down as a C string and says where. Throws for what no path can be. */
  text(slot: 0 | 1, text: string): number
  /** A structure of up to `structureSize` bytes that goes in or comes out, in three views. */
  readonly structure: {
    readonly address: number
    readonly bytes: Buffer
    readonly unsigned: Uint32Array
    readonly signed: Int32Array
  }
}

/** Longest text that the kernel takes as a path, without its NUL. */
const mostTextBytes = 4095
const structureSize = 4096

/** Creates the memory for one call at a time. */
export function createArena(): Arena {
  const texts = [pinnedBuffer(mostTextBytes + 1), pinnedBuffer(mostTextBytes + 1)] as const
  const { bytes, address } = pinnedBuffer(structureSize)
  const words = structureSize / 4
  return {
    text: (slot, text) => writeText(texts[slot], text),
    structure: {
      address,
      bytes,
      unsigned: new Uint32Array(bytes.buffer, bytes.byteOffset, words),
      signed: new Int32Array(bytes.buffer, bytes.byteOffset, words),
    },
  }
}

function writeText({ bytes, address }: PinnedBuffer, text: string): number {
  const { length } = text
  if (length > mostTextBytes)
    throw new FileError('name-too-long', 'Cannot use a path of more than 4095 bytes')
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index)
    // A NUL would end the name early and a wide character would become another one: both would alias names.
    if (code === 0 || code > 0xff)
      throw new FileError('bad-message', 'Cannot use a name that is not plain bytes')
    bytes[index] = code
  }
  bytes[length] = 0
  return address
}
