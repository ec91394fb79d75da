import { FileError } from '../base/errors.ts'
import type { AttributeChange, DirectoryEntry, FileAttributes, OpenIntent, SpaceInfo } from '../base/file.ts'
import { isWithin, nameOf, parentOf, rootPath, type VirtualPath } from '../base/virtual-path.ts'
import { openMemoryFile, type MemoryFile } from './memory-file.ts'
import {
  attributesOf,
  changeNode,
  resizeNode,
  type DirectoryNode,
  type FileNode,
  type MemoryNode,
  type Surroundings,
} from './memory-node.ts'
import { resolveLinks, type Step } from '../base/resolve-links.ts'

/** What a memory tree may hold and whose it is. */
export interface MemoryTreeOptions {
  /** How many bytes fit in all files together; default 1 GiB. Past it a write fails with `no-space`. */
  readonly mostBytes?: number
  /** Owner of what is made here; default 0 and 0. */
  readonly owner?: { readonly uid: number; readonly gid: number }
  /** Milliseconds since 1970; default the machine's. */
  readonly now?: () => number
}

/** The operations of the memory backend, all at once. */
export interface MemoryTree {
  open(path: VirtualPath, intent: OpenIntent): MemoryFile
  attributes(path: VirtualPath, follow: boolean): FileAttributes
  change(path: VirtualPath, change: AttributeChange, follow: boolean): void
  list(path: VirtualPath): Iterator<DirectoryEntry>
  makeDirectory(path: VirtualPath, mode: number): void
  removeDirectory(path: VirtualPath): void
  remove(path: VirtualPath): void
  rename(from: VirtualPath, to: VirtualPath, replace: boolean): void
  resolve(path: VirtualPath): VirtualPath
  space(path: VirtualPath): SpaceInfo
  readLink(path: VirtualPath): string
  symbolic(target: string, path: VirtualPath): void
  hard(existing: VirtualPath, path: VirtualPath): void
}

/** Creates an empty tree. Paths mean what they mean to a kernel whose root it is. */
export function createMemoryTree(options: MemoryTreeOptions): MemoryTree {
  const now = options.now ?? Date.now
  const owner = options.owner ?? { uid: 0, gid: 0 }
  const around: Surroundings = {
    mostBytes: options.mostBytes ?? 2 ** 30,
    used: { bytes: 0, inodes: 0 },
    seconds: () => Math.floor(now() / 1000),
  }
  const root = newDirectory(0o755)

  return {
    open,
    attributes: (path, follow) => attributesOf(find(path, follow)),
    change: (path, change, follow) => changeNode(find(path, follow), change, around),
    list,
    makeDirectory(path, mode) {
      add(path, () => newDirectory(mode))
    },
    removeDirectory,
    remove,
    rename,
    resolve: (path) => resolved(path),
    space,
    readLink(path) {
      const node = find(path, false)
      if (node.kind !== 'link') throw new FileError('not-a-link', 'Cannot read a link: it is none')
      return node.target
    },
    symbolic(target, path) {
      add(path, () => ({ ...newState(0o777), kind: 'link', target }))
    },
    hard(existing, path) {
      const node = find(existing, false)
      if (node.kind === 'directory') throw new FileError('permission-denied', 'Cannot link a directory')
      add(path, () => node)
      node.links += 1
    },
  }

  function open(path: VirtualPath, intent: OpenIntent): MemoryFile {
    const node = findOrMake(path, intent)
    if (node.kind === 'directory') throw new FileError('is-a-directory', 'Cannot open a directory as a file')
    if (node.kind === 'link') throw new FileError('too-many-links', 'Cannot open a link')
    if (intent.truncate) resizeNode(node, 0, around)
    return openMemoryFile(node, intent, around)
  }

  function findOrMake(path: VirtualPath, intent: OpenIntent): MemoryNode {
    if (!intent.create) return find(path, true)
    const place = intent.exclusive ? childOfResolved(path) : resolved(path)
    const existing = lookUp(place)
    if (existing === undefined) return addFile(place, intent.mode)
    if (intent.exclusive) throw new FileError('already-exists', 'Cannot create: the name is taken')
    return existing
  }

  function addFile(path: VirtualPath, mode: number): FileNode {
    const node: FileNode = { ...newState(mode), kind: 'file', bytes: Buffer.alloc(0), size: 0 }
    add(path, () => node)
    return node
  }

  function list(path: VirtualPath): Iterator<DirectoryEntry> {
    return walkEntries(directory(find(path, true)))
  }

  function removeDirectory(path: VirtualPath): void {
    if (path === rootPath) throw new FileError('busy', 'Cannot remove the root')
    const node = find(path, false)
    if (directory(node).entries.size > 0)
      throw new FileError('directory-not-empty', 'Cannot remove a directory that holds something')
    unlink(path, node)
  }

  function remove(path: VirtualPath): void {
    const node = find(path, false)
    if (node.kind === 'directory')
      throw new FileError('is-a-directory', 'Cannot remove a directory as a file')
    unlink(path, node)
  }

  function rename(from: VirtualPath, to: VirtualPath, replace: boolean): void {
    if (from === rootPath || to === rootPath) throw new FileError('busy', 'Cannot rename the root')
    const node = find(from, false)
    const source = childOfResolved(from)
    const target = childOfResolved(to)
    const existing = lookUp(target)
    if (existing !== undefined && !replace)
      throw new FileError('already-exists', 'Cannot rename: the new name is taken')
    if (node.kind === 'directory' && target !== source && isWithin(target, source))
      throw new FileError('bad-message', 'Cannot move a directory into itself')
    if (existing === node) return
    if (existing !== undefined) makeWay(node, existing, target)
    parentDirectory(target).entries.set(nameOf(target), node)
    parentDirectory(source).entries.delete(nameOf(source))
  }

  function makeWay(node: MemoryNode, existing: MemoryNode, path: VirtualPath): void {
    if (existing.kind === 'directory') {
      if (node.kind !== 'directory') throw new FileError('is-a-directory', 'Cannot replace a directory')
      if (existing.entries.size > 0)
        throw new FileError('directory-not-empty', 'Cannot replace a directory that holds something')
    } else if (node.kind === 'directory') {
      throw new FileError('not-a-directory', 'Cannot replace a file with a directory')
    }
    unlink(path, existing)
  }

  function unlink(path: VirtualPath, node: MemoryNode): void {
    parentDirectory(path).entries.delete(nameOf(path))
    node.links -= 1
    if (node.kind === 'file' && node.links === 0) around.used.bytes -= node.size
  }

  function add(path: VirtualPath, make: () => MemoryNode): void {
    const { entries } = parentDirectory(path)
    if (path === rootPath || entries.has(nameOf(path)))
      throw new FileError('already-exists', 'Cannot create: the name is taken')
    if (nameOf(path).length > 255) throw new FileError('name-too-long', 'Cannot use a name of over 255 bytes')
    entries.set(nameOf(path), make())
  }

  function find(path: VirtualPath, follow: boolean): MemoryNode {
    const node = lookUp(follow ? resolved(path) : childOfResolved(path))
    if (node === undefined) throw new FileError('not-found', 'Cannot find the name')
    return node
  }

  /** `path` with its parents' links followed, its own name as it stands. */
  function childOfResolved(path: VirtualPath): VirtualPath {
    if (path === rootPath) return path
    const parent = resolved(parentOf(path))
    // One more name after a canonical path.
    return (parent === rootPath ? `/${nameOf(path)}` : `${parent}/${nameOf(path)}`) as VirtualPath
  }

  function resolved(path: VirtualPath): VirtualPath {
    const place = resolveLinks(path, look)
    // `look` answers at once, so the walk does.
    return place as VirtualPath
  }

  function look(path: VirtualPath): Step {
    const node = lookUp(path)
    if (node === undefined) return { at: 'nothing' }
    return node.kind === 'link' ? { at: 'link', target: node.target } : { at: 'other' }
  }

  /** The node at a path without links. */
  function lookUp(path: VirtualPath): MemoryNode | undefined {
    let node: MemoryNode | undefined = root
    for (const name of path.split('/')) {
      if (name === '') continue
      if (node === undefined) return undefined
      node = directory(node).entries.get(name)
    }
    return node
  }

  function parentDirectory(path: VirtualPath): DirectoryNode {
    const node = find(parentOf(path), true)
    return directory(node)
  }

  function newDirectory(mode: number): DirectoryNode {
    return { ...newState(mode), kind: 'directory', entries: new Map() }
  }

  function newState(mode: number) {
    around.used.inodes += 1
    const time = around.seconds()
    return {
      ...{ inode: around.used.inodes, mode: mode & 0o7777, links: 1, ...owner },
      ...{ accessTime: time, modifyTime: time },
    }
  }

  function space(path: VirtualPath): SpaceInfo {
    find(path, true)
    const blocks = Math.ceil(around.mostBytes / 4096)
    const freeBlocks = Math.floor((around.mostBytes - around.used.bytes) / 4096)
    return {
      ...{ blockSize: 4096, fragmentSize: 4096, blocks, freeBlocks, availableBlocks: freeBlocks },
      ...{ files: 2 ** 31, freeFiles: 2 ** 31 - around.used.inodes },
      ...{ availableFiles: 2 ** 31 - around.used.inodes, id: 1, readOnly: false, maxNameBytes: 255 },
    }
  }
}

/** Goes on while names come and go: a `Map` is made for that. */
function* walkEntries({ entries }: DirectoryNode): Iterator<DirectoryEntry> {
  for (const [name, node] of entries) yield { name, attributes: attributesOf(node) }
}

function directory(node: MemoryNode): DirectoryNode {
  if (node.kind !== 'directory')
    throw new FileError('not-a-directory', 'Cannot look into what is no directory')
  return node
}
