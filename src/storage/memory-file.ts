import { FileError } from '../base/errors.ts'
import type { AttributeChange, FileAttributes, OpenIntent } from '../base/file.ts'
import { attributesOf, changeNode, resizeNode, type FileNode, type Surroundings } from './memory-node.ts'

/** An open file of the memory backend. */
export interface MemoryFile {
  read(into: Buffer, position: number): number
  write(chunks: readonly Buffer[], position: number): void
  attributes(): FileAttributes
  change(change: AttributeChange): void
}

/** Opens `node`; it lives on while somebody holds it, whatever happens to its names. */
export function openMemoryFile(node: FileNode, intent: OpenIntent, around: Surroundings): MemoryFile {
  return {
    read(into, position) {
      if (!intent.read && intent.write) throw new FileError('bad-handle', 'Cannot read: opened to write only')
      if (position >= node.size) return 0
      return node.bytes.copy(into, 0, position, Math.min(node.size, position + into.length))
    },
    write(chunks, position) {
      if (!intent.write) throw new FileError('bad-handle', 'Cannot write: opened to read only')
      writeChunks(node, chunks, intent.append ? node.size : position, around)
    },
    attributes: () => attributesOf(node),
    change(change) {
      if (change.size !== undefined && !intent.write)
        throw new FileError('bad-message', 'Cannot change the size: opened to read only')
      changeNode(node, change, around)
    },
  }
}

function writeChunks(node: FileNode, chunks: readonly Buffer[], from: number, around: Surroundings): void {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  if (length === 0) return
  if (from + length > node.size) resizeNode(node, from + length, around)
  let at = from
  for (const chunk of chunks) at += chunk.copy(node.bytes, at)
  node.modifyTime = around.seconds()
}
