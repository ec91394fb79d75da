import { FileError } from '../base/errors.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { Upload } from './upload.ts'

/** The uploads of one session that have not got their names yet: for their session the names are there already. */
export interface OwnUploads {
  add(upload: Upload): void
  remove(upload: Upload): void
  /** The upload that will have this name. */
  at(path: VirtualPath): Upload | undefined
  /** Throws when an upload will have this name: for this session it is in use. */
  refuseTaken(path: VirtualPath): void
}

/** Creates the list of a session. */
export function createOwnUploads(): OwnUploads {
  const uploads = new Set<Upload>()
  const at = (path: VirtualPath): Upload | undefined => {
    for (const upload of uploads) if (upload.hidden !== undefined && upload.place.path === path) return upload
    return undefined
  }
  return {
    add: (upload) => void uploads.add(upload),
    remove: (upload) => void uploads.delete(upload),
    at,
    refuseTaken(path) {
      if (at(path) !== undefined)
        throw new FileError('already-exists', 'Cannot use the name of an upload under way')
    },
  }
}
