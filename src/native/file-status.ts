import type { FileAttributes, FileKind, SpaceInfo } from '../base/file.ts'
import type { Arena } from './arena.ts'

/** What to ask `statx` for: what `stat` gives. */
export const statusMask = 0x7ff

/** Reads the `struct statx` that the kernel left in `structure`; its layout is the same on every machine. */
export function readStatus({ unsigned, signed }: Arena['structure']): FileAttributes {
  // Every index is below the structure's 64 words: `structure` has more.
  const word = (index: number): number => unsigned[index] as number
  const long = (index: number): number => (signed[index + 1] as number) * 2 ** 32 + word(index)
  const mode = word(7) & 0xffff
  return {
    kind: kindOfMode(mode),
    mode: mode & 0o7777,
    uid: word(5),
    gid: word(6),
    size: long(10),
    accessTime: long(16),
    modifyTime: long(28),
    links: word(4),
    device: deviceNumber(word(34), word(35)),
    inode: word(9) * 2 ** 32 + word(8),
  }
}

/** The kind of file in the upper bits of a mode. */
export function kindOfMode(mode: number): FileKind {
  return kinds[(mode >>> 12) & 0xf] ?? 'file'
}

/** The kind that a directory record names; undefined where the disk does not say. */
export function kindOfRecord(type: number): FileKind | undefined {
  // The numbers are those of the mode's upper bits.
  return kinds[type]
}

/** Reads the `struct statvfs` of 64-bit C libraries: eleven words of 64 bits, the first nine of them counts. */
export function readSpace({ bytes }: Arena['structure']): SpaceInfo {
  const count = (index: number): number => Number(bytes.readBigUInt64LE(index * 8))
  return {
    blockSize: count(0),
    fragmentSize: count(1),
    blocks: count(2),
    freeBlocks: count(3),
    availableBlocks: count(4),
    files: count(5),
    freeFiles: count(6),
    availableFiles: count(7),
    id: count(8),
    readOnly: (bytes.readUInt32LE(72) & 1) === 1,
    maxNameBytes: count(10),
  }
}

const kinds: Readonly<Record<number, FileKind>> = {
  1: 'fifo',
  2: 'character-device',
  4: 'directory',
  6: 'block-device',
  8: 'file',
  10: 'link',
  12: 'socket',
}

/** One number for a device, the one that `stat` gives. */
function deviceNumber(major: number, minor: number): number {
  const low = (minor % 256) + (major % 4096) * 256 + Math.floor(minor / 256) * 2 ** 20
  return low + Math.floor(major / 4096) * 2 ** 44
}
