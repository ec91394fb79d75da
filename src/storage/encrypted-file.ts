import { FileError } from '../base/errors.ts'
import type { OpenIntent } from '../base/file.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { inOrder } from '../native/in-order.ts'
import type { OpenFile } from './backend.ts'
import { looksBroken, meantBy } from './half-written.ts'
import type { SharedFile } from './shared-files.ts'

/** Who made a handle. */
export interface HandleOwner {
  /** Gives the shared file back. */
  release(): Soon<void>
  /** Hears of what could not be read. */
  onError(error: unknown): void
}

/** One opener's handle on a shared encrypted file. */
export function createEncryptedFile(file: SharedFile, intent: OpenIntent, owner: HandleOwner): OpenFile {
  let open = true
  return {
    read(into, position) {
      mustBeOpen()
      if (!intent.read && intent.write) throw new FileError('bad-handle', 'Cannot read: opened to write only')
      return file.queue.run(() => read(into, position))
    },
    write(chunks, position) {
      mustBeOpen()
      if (!intent.write) throw new FileError('bad-handle', 'Cannot write: opened to read only')
      const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
      if (length === 0) return undefined
      if (position + length > Number.MAX_SAFE_INTEGER)
        throw new FileError('too-large', 'Cannot write beyond what a file can hold')
      return file.queue.run(() => file.content.write(chunks, intent.append ? file.content.size : position))
    },
    attributes() {
      mustBeOpen()
      return file.queue.run(() =>
        whenReady(file.place.file.attributes(), (attributes) => ({
          ...attributes,
          size: file.content.size,
        })),
      )
    },
    change(change) {
      mustBeOpen()
      const { size, ...rest } = change
      if (size !== undefined && !intent.write)
        throw new FileError('bad-message', 'Cannot change the size: opened to read only')
      return file.queue.run(() =>
        // What is held back would change the times when it is written later.
        whenReady(size === undefined ? undefined : file.content.resize(size), () =>
          whenReady(intent.write ? file.content.flush() : undefined, () =>
            Object.keys(rest).length > 0 ? file.place.file.change(rest) : undefined,
          ),
        ),
      )
    },
    sync() {
      mustBeOpen()
      return file.queue.run(() =>
        whenReady(intent.write ? file.content.flush() : undefined, () => file.place.file.sync()),
      )
    },
    close() {
      mustBeOpen()
      open = false
      const flush = () => (intent.write ? file.queue.run(() => file.content.flush()) : undefined)
      return inOrder([flush, () => owner.release()])
    },
  }

  function read(into: Buffer, position: number): Soon<number> {
    return recovering(
      () => file.content.read(into, position),
      (error) => readAnew(into, position, error),
    )
  }

  /** What does not open may have been written by another process since it was looked at. */
  async function readAnew(into: Buffer, position: number, before: unknown): Promise<number> {
    try {
      if (file.place.writable || !looksBroken(before)) throw before
      await file.renew()
      return await file.content.read(into, position)
    } catch (error) {
      const meant = await meantBy(error, file.place.file)
      owner.onError(meant)
      throw meant
    }
  }

  function mustBeOpen(): void {
    if (!open) throw new FileError('bad-handle', 'Cannot use a file after it was closed')
  }
}
