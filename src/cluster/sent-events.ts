import type { FileIntent, IntentCheck } from '../events/event-log.ts'
import type { FileAction, FileEvent, LogEvent } from '../events/event.ts'
import { type Fields, fieldsOf } from './fields.ts'

/** Every action, as keys: the compiler asks for a new one. */
const actions: Readonly<Record<FileAction, true>> = {
  upload: true,
  download: true,
  'first-upload': true,
  'first-download': true,
  delete: true,
  rename: true,
  mkdir: true,
  rmdir: true,
  copy: true,
  ssh_cmd: true,
  'pre-upload': true,
  'pre-download': true,
  'pre-delete': true,
}

/** Every action that can happen to a file. */
export const fileActions = Object.keys(actions) as readonly FileAction[] // the table's own keys

/** A file event as a worker sent it. Throws a `TypeError`. */
export function fileEventOf(input: unknown): FileEvent {
  const fields = fieldsOf(input)
  const action = fields.text('action')
  const status = fields.number('status')
  if (fields.text('kind') !== 'file' || !Object.hasOwn(actions, action))
    throw new TypeError('Not an event of a file')
  if (status !== 1 && status !== 2 && status !== 3) throw new TypeError('Not the status of an event')
  const texts = ['username', 'role', 'path', 'storagePath', 'protocol', 'address', 'sessionId'] as const
  for (const name of texts) fields.text(name)
  for (const name of ['size', 'filesystemProvider', 'openFlags', 'elapsedMs'] as const) fields.number(name)
  for (const name of ['targetPath', 'storageTargetPath', 'sshCommand', 'bucket', 'endpoint'] as const)
    fields.optionalText(name)
  if (fields.has('metadata'))
    for (const value of Object.values(fields.object('metadata')))
      if (typeof value !== 'string') throw new TypeError('Not the metadata of an event')
  // Every field has just been looked at.
  return input as FileEvent
}

/** An intent as a worker sent it. Throws a `TypeError`. */
export function fileIntentOf(input: unknown): FileIntent {
  const fields = fieldsOf(input)
  return { event: fileEventOf(fields.object('event')), check: checkOf(fieldsOf(fields.object('check'))) }
}

function checkOf(fields: Fields): IntentCheck {
  const inode = (): number => fields.number('inode')
  switch (fields.text('of')) {
    case 'publish':
      return {
        of: 'publish',
        partPath: fields.text('partPath'),
        finalPath: fields.text('finalPath'),
        inode: inode(),
      }
    case 'in-place':
      return { of: 'in-place', finalPath: fields.text('finalPath'), inode: inode() }
    case 'remove':
      return { of: 'remove', path: fields.text('path') }
    case 'rename':
      return {
        ...{ of: 'rename', from: fields.text('from'), to: fields.text('to'), inode: inode() },
        toWasFree: fields.flag('toWasFree'),
      }
    case 'make-directory':
      return { of: 'make-directory', path: fields.text('path') }
    case 'unknown':
      return { of: 'unknown' }
    default:
      throw new TypeError('Not a check of an intent')
  }
}

/** A log event as a worker sent it. Throws a `TypeError`. */
export function logEventOf(input: unknown): LogEvent {
  const fields = fieldsOf(input)
  const event = fields.number('event')
  if (event !== 1 && event !== 2 && event !== 3 && event !== 4 && event !== 5)
    throw new TypeError('Not a number of a log event')
  return {
    kind: 'log',
    event,
    username: fields.text('username'),
    protocol: fields.text('protocol'),
    address: fields.text('address'),
    message: fields.text('message'),
  }
}
