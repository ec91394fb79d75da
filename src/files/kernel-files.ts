import { FileError } from '../base/errors.ts'
import { whenReady, type Soon } from '../base/soon.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { Backend, BackendLinks, OpenFile } from '../storage/backend.ts'
import type { OpenTransfer, UserFiles } from './user-files.ts'

/**
 * Files under no rules but those of the place itself: for a program that runs as the person, so that the kernel's
 * permissions are the only ones. Nothing is counted, hidden or told; files are written in place.
 */
export function createKernelFiles(backend: Backend, startDirectory: VirtualPath): UserFiles {
  const links = (): BackendLinks => {
    if (backend.links === undefined) throw new FileError('unsupported', 'Cannot make links here')
    return backend.links
  }
  return {
    startDirectory,
    abilities: {
      symbolicLinks: backend.links !== undefined,
      hardLinks: backend.links !== undefined,
      space: backend.space !== undefined,
    },
    open: (path, intent) => whenReady(backend.open(path, intent), transferOf),
    attributes: (path, options) => backend.attributes(path, options),
    change: (path, change, options) => backend.change(path, change, options),
    list: (path) => backend.list(path),
    makeDirectory: (path, mode) => backend.makeDirectory(path, mode),
    removeDirectory: (path) => backend.removeDirectory(path),
    remove: (path) => backend.remove(path),
    rename: (from, to, options) => backend.rename(from, to, options),
    resolve: (path) => backend.resolve(path),
    space(path) {
      if (backend.space === undefined)
        throw new FileError('unsupported', 'Cannot tell how full this place is')
      return backend.space(path)
    },
    readLink: (path) => links().read(path),
    symbolicLink: (target, path) => links().symbolic(target, path),
    hardLink: (existing, path) => links().hard(existing, path),
    async close() {},
  }
}

function transferOf(file: OpenFile): OpenTransfer {
  const close = (): Soon<void> => file.close()
  return {
    read: (into, position) => file.read(into, position),
    readNow: (pieces, position) => file.readNow?.(pieces, position),
    write: (chunks, position) => file.write(chunks, position),
    attributes: () => file.attributes(),
    change: (change) => file.change(change),
    sync: () => file.sync(),
    close,
    interrupt: close,
  }
}
