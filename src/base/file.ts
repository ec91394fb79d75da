/** What kind of thing a name stands for. */
export type FileKind = 'file' | 'directory' | 'link' | 'fifo' | 'socket' | 'character-device' | 'block-device'

/** What is known of a file. Sizes and times are exact up to 2^53; times are seconds since 1970. */
export interface FileAttributes {
  readonly kind: FileKind
  /** Permission bits alone, at most 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly accessTime: number
  readonly modifyTime: number
  readonly links: number
  /** Device and inode: two names of one file agree in both. Zero where a backend has no such thing. */
  readonly device: number
  readonly inode: number
}

/** A change of attributes; what is left out stays. */
export interface AttributeChange {
  readonly size?: number
  readonly mode?: number
  readonly owner?: { readonly uid: number; readonly gid: number }
  readonly times?: { readonly accessTime: number; readonly modifyTime: number }
}

/** One name in a directory, one character per byte, with its own attributes (of the link, not its target). */
export interface DirectoryEntry {
  readonly name: string
  readonly attributes: FileAttributes
}

/** What the opener of a file intends. */
export interface OpenIntent {
  readonly read: boolean
  readonly write: boolean
  /** Every write goes to the end, whatever its position says. */
  readonly append: boolean
  readonly create: boolean
  readonly truncate: boolean
  /** With `create`: the name must be new. */
  readonly exclusive: boolean
  /** Permission bits of a file made by this open. */
  readonly mode: number
}

/** How full a place is: what `statvfs` tells. */
export interface SpaceInfo {
  readonly blockSize: number
  readonly fragmentSize: number
  readonly blocks: number
  readonly freeBlocks: number
  readonly availableBlocks: number
  readonly files: number
  readonly freeFiles: number
  readonly availableFiles: number
  readonly id: number
  readonly readOnly: boolean
  readonly maxNameBytes: number
}
