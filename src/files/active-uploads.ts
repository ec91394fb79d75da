import { isWithin, type VirtualPath } from '../base/virtual-path.ts'

/** An upload under a hidden name, as others must know it. Paths as the backend has them. */
export interface ActiveUpload {
  /** The real path of the backend's root. */
  readonly root: string
  part: VirtualPath
  final: VirtualPath
  /** Nobody may begin another upload that insists on a new name. */
  readonly exclusive: boolean
}

/** The uploads under way in this server: renamed directories take theirs with them, and names can be reserved. */
export interface ActiveUploads {
  add(upload: ActiveUpload): void
  remove(upload: ActiveUpload): void
  /** Whether somebody insists on being the first to have this name. */
  isReserved(root: string, final: VirtualPath): boolean
  /** A directory has a new name, and with it everything below. */
  moved(root: string, from: VirtualPath, to: VirtualPath): void
  /** Whether this hidden name belongs to an upload that lives. */
  lives(root: string, part: VirtualPath): boolean
  /** A number for a hidden name, used once. */
  nextId(): string
}

/** Creates the register; `life` keeps the names of this life of the server apart from those of an earlier one. */
export function createActiveUploads(life: string): ActiveUploads {
  const uploads = new Set<ActiveUpload>()
  let count = 0
  return {
    add: (upload) => void uploads.add(upload),
    remove: (upload) => void uploads.delete(upload),
    isReserved: (root, final) =>
      some((upload) => upload.exclusive && upload.root === root && upload.final === final),
    lives: (root, part) => some((upload) => upload.root === root && upload.part === part),
    moved(root, from, to) {
      for (const upload of uploads) {
        if (upload.root !== root) continue
        upload.part = rerooted(upload.part, from, to)
        upload.final = rerooted(upload.final, from, to)
      }
    },
    nextId() {
      count += 1
      return `${life}-${count.toString(36)}`
    },
  }

  function some(test: (upload: ActiveUpload) => boolean): boolean {
    for (const upload of uploads) if (test(upload)) return true
    return false
  }
}

function rerooted(path: VirtualPath, from: VirtualPath, to: VirtualPath): VirtualPath {
  // A canonical path with one canonical beginning in the place of another.
  return isWithin(path, from) && path !== from ? ((to + path.slice(from.length)) as VirtualPath) : path
}
