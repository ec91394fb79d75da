import { FileError } from '../../base/errors.ts'
import { whenReady } from '../../base/soon.ts'
import { virtualPath } from '../../base/virtual-path.ts'
import { done, pathIn, type Operation } from './operation.ts'

/** READLINK: the stored target. */
export const readlink: Operation = {
  name: 'readlink',
  writes: false,
  begin(fields, conversation) {
    const path = pathIn(fields, conversation)
    return {
      at: 'names',
      paths: [path],
      changes: false,
      run: () => whenReady(conversation.files.readLink(path), (target) => ({ is: 'path', path: target })),
    }
  },
}

/**
 * SYMLINK. The draft says link first; OpenSSH got it the other way round long ago, and nearly every client
 * follows OpenSSH. Those that do not are known by their version string: see `symlinkOrder`.
 */
export const symlink: Operation = {
  name: 'symlink',
  writes: true,
  begin(fields, conversation) {
    const first = fields.string()
    const second = fields.string()
    const [target, link] = conversation.symlinkOrder === 'target-first' ? [first, second] : [second, first]
    if (link === '' || target === '') throw new FileError('not-found', 'Cannot make a link without a name')
    if (target.includes('\0')) throw new FileError('bad-message', 'Cannot use a target with a NUL byte')
    const path = virtualPath(link, conversation.files.startDirectory)
    return {
      at: 'names',
      paths: [path],
      changes: true,
      run: () => whenReady(conversation.files.symbolicLink(target, path), done),
    }
  },
}

/** `hardlink@openssh.com`: the existing name, then the new one. */
export const hardlink: Operation = {
  name: 'hardlink',
  writes: true,
  begin(fields, conversation) {
    const existing = pathIn(fields, conversation)
    const path = pathIn(fields, conversation)
    return {
      at: 'names',
      paths: [existing, path],
      changes: true,
      run: () => whenReady(conversation.files.hardLink(existing, path), done),
    }
  },
}
