import { FileError } from '../base/errors.ts'
import type { AttributeChange, FileAttributes } from '../base/file.ts'

/** What every node has; changed in place, as an inode is. */
interface NodeState {
  readonly inode: number
  mode: number
  uid: number
  gid: number
  accessTime: number
  modifyTime: number
  links: number
}

/** A file: its bytes are the first `size` of `bytes`, and the rest is zero. */
export interface FileNode extends NodeState {
  readonly kind: 'file'
  bytes: Buffer
  size: number
}

/** A directory: its names in the order they came. */
export interface DirectoryNode extends NodeState {
  readonly kind: 'directory'
  readonly entries: Map<string, MemoryNode>
}

/** A symbolic link. */
export interface LinkNode extends NodeState {
  readonly kind: 'link'
  readonly target: string
}

export type MemoryNode = FileNode | DirectoryNode | LinkNode

/** What all nodes of one tree share. */
export interface Surroundings {
  readonly mostBytes: number
  readonly used: { bytes: number; inodes: number }
  seconds(): number
}

/** What a client would see of `node`. */
export function attributesOf(node: MemoryNode): FileAttributes {
  const { kind, mode, uid, gid, accessTime, modifyTime, links, inode } = node
  return { kind, mode, uid, gid, size: sizeOf(node), accessTime, modifyTime, links, device: 1, inode }
}

/** Applies size, mode, owner and times in that order; the last failure is thrown when all were tried. */
export function changeNode(node: MemoryNode, change: AttributeChange, around: Surroundings): void {
  let failure: unknown
  if (change.size !== undefined) {
    try {
      if (node.kind === 'directory')
        throw new FileError('is-a-directory', 'Cannot set the size of a directory')
      if (node.kind === 'link') throw new FileError('not-a-regular-file', 'Cannot set the size of a link')
      resizeNode(node, change.size, around)
    } catch (error) {
      failure = error
    }
  }
  if (change.mode !== undefined) {
    if (node.kind === 'link') failure = new FileError('unsupported', 'Cannot set the mode of a link')
    else node.mode = change.mode & 0o7777
  }
  if (change.owner !== undefined) Object.assign(node, change.owner)
  if (change.times !== undefined) Object.assign(node, change.times)
  if (failure !== undefined) throw failure
}

/** Makes `node` hold exactly `size` bytes; new ones are zero. */
export function resizeNode(node: FileNode, size: number, around: Surroundings): void {
  if (size > node.size) reserve(node, size, around)
  else node.bytes.fill(0, size, node.size)
  around.used.bytes += size - node.size
  node.size = size
  node.modifyTime = around.seconds()
}

function reserve(node: FileNode, size: number, around: Surroundings): void {
  if (around.used.bytes + size - node.size > around.mostBytes)
    throw new FileError('no-space', 'Cannot hold more bytes in memory')
  if (size <= node.bytes.length) return
  const larger = Buffer.alloc(Math.max(size, Math.min(node.bytes.length * 2, around.mostBytes)))
  node.bytes.copy(larger, 0, 0, node.size)
  node.bytes = larger
}

function sizeOf(node: MemoryNode): number {
  if (node.kind === 'file') return node.size
  return node.kind === 'link' ? node.target.length : node.entries.size
}
