import { FileError } from '../base/errors.ts'
import type { OpenIntent } from '../base/file.ts'
import type { OpenFile } from './backend.ts'
import type { SharedFile } from './shared-files.ts'

/** Who made a handle. */
export interface HandleOwner {
  /** Gives the shared file back. */
  release(): Promise<void>
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
      return file.queue.run(async () => ({
        ...(await file.place.file.attributes()),
        size: file.content.size,
      }))
    },
    change(change) {
      mustBeOpen()
      const { size, ...rest } = change
      if (size !== undefined && !intent.write)
        throw new FileError('bad-message', 'Cannot change the size: opened to read only')
      return file.queue.run(async () => {
        if (size !== undefined) await file.content.resize(size)
        // What is held back would change the times when it is written later.
        if (intent.write) await file.content.flush()
        if (Object.keys(rest).length > 0) await file.place.file.change(rest)
      })
    },
    sync() {
      mustBeOpen()
      return file.queue.run(async () => {
        if (intent.write) await file.content.flush()
        await file.place.file.sync()
      })
    },
    async close() {
      mustBeOpen()
      open = false
      try {
        if (intent.write) await file.queue.run(() => file.content.flush())
      } finally {
        await owner.release()
      }
    },
  }

  async function read(into: Buffer, position: number): Promise<number> {
    try {
      return await file.content.read(into, position)
    } catch (error) {
      owner.onError(error)
      throw error
    }
  }

  function mustBeOpen(): void {
    if (!open) throw new FileError('bad-handle', 'Cannot use a file after it was closed')
  }
}
