import type { AttributeChange, FileAttributes, FileKind } from '../base/file.ts'
import { attributeFlag } from './protocol.ts'
import type { Fields } from './fields.ts'

/** Bytes that `writeAttributes` writes. */
export const attributesBytes = 4 + 8 + 4 + 4 + 4 + 4 + 4

/** Writes attributes at `at`; returns where they end. Times wrap as unsigned 32-bit numbers, as the protocol has them. */
export function writeAttributes(into: Buffer, attributes: FileAttributes, at: number): number {
  into.writeUInt32BE(everyFlag, at)
  into.writeUInt32BE(Math.floor(attributes.size / 0x1_0000_0000), at + 4)
  into.writeUInt32BE(attributes.size >>> 0, at + 8)
  into.writeUInt32BE(attributes.uid >>> 0, at + 12)
  into.writeUInt32BE(attributes.gid >>> 0, at + 16)
  into.writeUInt32BE(modeOf(attributes), at + 20)
  into.writeUInt32BE(Math.floor(attributes.accessTime) >>> 0, at + 24)
  into.writeUInt32BE(Math.floor(attributes.modifyTime) >>> 0, at + 28)
  return at + attributesBytes
}

/** What a request's attributes ask to change. Unknown extended attributes are read over. */
export function readAttributes(fields: Fields): AttributeChange {
  const flags = fields.u32()
  const size = (flags & attributeFlag.size) !== 0 ? { size: fields.u64() } : {}
  const owner = (flags & attributeFlag.owner) !== 0 ? { owner: { uid: fields.u32(), gid: fields.u32() } } : {}
  const mode = (flags & attributeFlag.permissions) !== 0 ? { mode: fields.u32() & 0o7777 } : {}
  const times =
    (flags & attributeFlag.times) !== 0
      ? { times: { accessTime: fields.u32(), modifyTime: fields.u32() } }
      : {}
  if ((flags & attributeFlag.extended) !== 0) skipExtended(fields)
  return { ...size, ...owner, ...mode, ...times }
}

/** Permission bits and the kind, as `stat` has them. */
export function modeOf(attributes: FileAttributes): number {
  return (typeBits[attributes.kind] | (attributes.mode & 0o7777)) >>> 0
}

const everyFlag = attributeFlag.size | attributeFlag.owner | attributeFlag.permissions | attributeFlag.times

const typeBits: Readonly<Record<FileKind, number>> = {
  fifo: 0o010000,
  'character-device': 0o020000,
  directory: 0o040000,
  'block-device': 0o060000,
  file: 0o100000,
  link: 0o120000,
  socket: 0o140000,
}

/** Each pair takes at least eight bytes of the packet, so a huge count ends at the packet's end. */
function skipExtended(fields: Fields): void {
  for (let left = fields.u32(); left > 0; left -= 1) {
    fields.view()
    fields.view()
  }
}
