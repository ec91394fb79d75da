import { whenReady } from '../../base/soon.ts'
import { virtualPath } from '../../base/virtual-path.ts'
import { readAttributes } from '../attributes.ts'
import type { Fields } from '../fields.ts'
import type { Task } from '../task.ts'
import { done, okReply, pathIn, type Conversation, type Operation } from './operation.ts'

/** STAT: attributes of what a name stands for. */
export const stat: Operation = {
  name: 'stat',
  writes: false,
  begin: (fields, conversation) => attributesOf(fields, conversation, true),
}

/** LSTAT: attributes of the name itself. */
export const lstat: Operation = {
  name: 'lstat',
  writes: false,
  begin: (fields, conversation) => attributesOf(fields, conversation, false),
}

/** SETSTAT: changes attributes; with none given nothing happens. */
export const setstat: Operation = {
  name: 'setstat',
  writes: true,
  begin(fields, conversation) {
    const path = pathIn(fields, conversation)
    const change = readAttributes(fields)
    if (Object.keys(change).length === 0) return { at: 'once', run: () => okReply }
    return {
      at: 'names',
      paths: [path],
      changes: true,
      run: () => whenReady(conversation.files.change(path, change, { follow: true }), done),
    }
  },
}

/** REMOVE: a file or a link. */
export const remove: Operation = {
  name: 'remove',
  writes: true,
  begin(fields, conversation) {
    const path = pathIn(fields, conversation)
    return {
      at: 'names',
      paths: [path],
      changes: true,
      run: () => whenReady(conversation.files.remove(path), done),
    }
  },
}

/** RENAME: never replaces anything; `posix-rename@openssh.com` does. */
export const rename: Operation = {
  name: 'rename',
  writes: true,
  begin: (fields, conversation) => renaming(fields, conversation, false),
}

/** REALPATH: the canonical path; an empty one is the start directory. */
export const realpath: Operation = {
  name: 'realpath',
  writes: false,
  begin(fields, { files }) {
    const path = virtualPath(fields.string(), files.startDirectory)
    return {
      at: 'names',
      paths: [path],
      changes: false,
      run: () => whenReady(files.resolve(path), (resolved) => ({ is: 'path', path: resolved })),
    }
  },
}

/** A rename that replaces or does not. */
export function renaming(fields: Fields, conversation: Conversation, replace: boolean): Task {
  const from = pathIn(fields, conversation)
  const to = pathIn(fields, conversation)
  return {
    at: 'names',
    paths: [from, to],
    changes: true,
    run: () => whenReady(conversation.files.rename(from, to, { replace }), done),
  }
}

function attributesOf(fields: Fields, conversation: Conversation, follow: boolean): Task {
  const path = pathIn(fields, conversation)
  const { files } = conversation
  return {
    at: 'names',
    paths: [path],
    changes: false,
    run: () =>
      whenReady(files.attributes(path, { follow }), (attributes) => ({ is: 'attributes', attributes })),
  }
}
