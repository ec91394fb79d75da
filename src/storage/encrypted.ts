import { FileError } from '../base/errors.ts'
import type { AttributeChange, DirectoryEntry, FileAttributes, OpenIntent } from '../base/file.ts'
import { childOf, type VirtualPath } from '../base/virtual-path.ts'
import { inOrder } from '../native/in-order.ts'
import type { Backend, OpenFile } from './backend.ts'
import { darePlainSizeOf, isDare } from './dare.ts'
import { openDareContent } from './dare-content.ts'
import { createEncryptedFile } from './encrypted-file.ts'
import { meantBy } from './half-written.ts'
import type { SealedPlace } from './chunk-workshop.ts'
import { readFully } from './read-fully.ts'
import { createSealedContent, openSealedContent, type SealedContent } from './sealed-content.ts'
import { corrupted, cutShort, headerBytes, isSealed, plainSizeOf, sealedStateByte } from './sealed-format.ts'
import { createSharedFiles, type SharedFile, type SharedFiles } from './shared-files.ts'

/** Where the keys of a home come from. Failing functions make single operations fail, with `keeper-unavailable`. */
export interface EncryptionKeys {
  /** The user's key, 32 bytes: it wraps the key of every file. Asked at each open: keep it at hand. */
  userKey(): Promise<Buffer> | Buffer
  /** Earlier keys of the user, while files are wrapped anew. Default none. */
  earlierKeys?(): Promise<readonly Buffer[]> | readonly Buffer[]
  /** The passphrase as SFTPGo uses it, for files that SFTPGo wrote. Left out: such files do not open. */
  passphrase?(): Promise<Buffer> | Buffer
}

/** What an encrypted backend is made of. */
export interface EncryptedBackendOptions {
  /** Where the encrypted bytes live. The backend closes it. */
  readonly base: Backend
  readonly keys: EncryptionKeys
  /** The files that are open, by all backends over the same place: they share them. Default a table of its own. */
  readonly shared?: SharedFiles
  /** Hears of each file that could not be opened or read, before the error goes on its way. */
  readonly onError?: (error: unknown, path: VirtualPath) => void
}

/** Creates a backend that keeps contents encrypted in another; names, modes and times stay as they are. */
export function createEncryptedBackend({
  base,
  keys,
  shared = createSharedFiles(),
  onError = () => {},
}: EncryptedBackendOptions): Backend {
  return {
    ...base,
    open,
    async attributes(path, options) {
      return plainAttributes(path, await base.attributes(path, options))
    },
    async find(path) {
      const found = await base.find(path)
      return found === undefined ? undefined : plainAttributes(path, found)
    },
    change,
    async list(path) {
      const listing = await base.list(path)
      return {
        async next(most) {
          const entries: DirectoryEntry[] = []
          for (const { name, attributes } of await listing.next(most))
            entries.push({ name, attributes: await plainAttributes(childOf(path, name), attributes) })
          return entries
        },
        close: () => listing.close(),
      }
    },
    close: () => base.close(),
  }

  async function open(path: VirtualPath, intent: OpenIntent): Promise<OpenFile> {
    const sealed = await base.open(path, { ...intent, read: true, append: false, truncate: false })
    const file = await takeOver(sealed, path, intent)
    try {
      if (intent.truncate && intent.write) await file.queue.run(() => file.content.resize(0))
      return createEncryptedFile(file, intent, {
        release: () => shared.release(file),
        onError: (error) => onError(error, path),
      })
    } catch (error) {
      await shared.release(file)
      onError(error, path)
      throw error
    }
  }

  /** The shared form of `sealed`, which is closed when somebody holds the same file already, or when this fails. */
  async function takeOver(sealed: OpenFile, path: VirtualPath, intent: OpenIntent): Promise<SharedFile> {
    try {
      const identity = identityOf(await sealed.attributes(), path)
      return await shared.acquire(identity, { file: sealed, writable: intent.write }, (place) =>
        contentOf(place, intent).catch(async (error: unknown) => {
          throw await meantBy(error, place.file)
        }),
      )
    } catch (error) {
      await sealed.close()
      onError(error, path)
      throw error
    }
  }

  async function contentOf(place: SealedPlace, intent: OpenIntent): Promise<SealedContent> {
    // Asked only now that nobody else holds the file: who wrote it may have closed it a moment ago.
    const { size } = await place.file.attributes()
    if (size === 0) {
      // An empty file on the disk is one that was just made: every complete file has a header.
      if (intent.write) return createSealedContent(place, await asked(keys.userKey()))
      throw cutShort('it is empty')
    }
    if (intent.write && intent.truncate) {
      // Whatever it is now, nothing of it stays: also what does not open any more can be replaced.
      const userKey = await asked(keys.userKey())
      await place.file.change({ size: 0 })
      return createSealedContent(place, userKey)
    }
    const start = Buffer.alloc(64)
    const length = await readFully(place.file, start, 0)
    if (isSealed(start.subarray(0, length))) return openSealedContent(place, size, await userKeys())
    if (!isDare(start.subarray(0, length))) throw corrupted('it was not encrypted by us or by SFTPGo')
    if (intent.write)
      throw new FileError('unsupported', 'Cannot change a file that SFTPGo encrypted: replace it whole')
    if (keys.passphrase === undefined)
      throw new FileError('wrong-key', 'Cannot open a file that SFTPGo encrypted: there is no passphrase')
    return openDareContent(place, size, await asked(keys.passphrase()))
  }

  async function userKeys(): Promise<readonly Buffer[]> {
    const earlier = keys.earlierKeys === undefined ? [] : await asked(keys.earlierKeys())
    return [await asked(keys.userKey()), ...earlier]
  }

  async function change(
    path: VirtualPath,
    wish: AttributeChange,
    options: { readonly follow: boolean },
  ): Promise<void> {
    const { size, ...rest } = wish
    if (size === undefined) {
      await putDown(path, options)
      return base.change(path, wish, options)
    }
    await inOrder([() => resize(path, size, options), () => base.change(path, rest, options)])
  }

  /** What somebody who writes the file holds back would change its times when it is written later. */
  async function putDown(path: VirtualPath, options: { readonly follow: boolean }): Promise<void> {
    const held = shared.find(identityOf(await base.attributes(path, options), path))
    if (held?.place.writable === true) await held.queue.run(() => held.content.flush())
  }

  async function resize(
    path: VirtualPath,
    size: number,
    options: { readonly follow: boolean },
  ): Promise<void> {
    const { kind } = await base.attributes(path, options)
    if (kind === 'directory') throw new FileError('is-a-directory', 'Cannot resize a directory')
    if (kind !== 'file') throw new FileError('not-a-regular-file', 'Cannot resize what is no file')
    const toWrite = { read: true, write: true, append: false, create: false, exclusive: false, mode: 0 }
    const file = await open(path, { ...toWrite, truncate: false })
    try {
      await file.change({ size })
    } finally {
      await file.close()
    }
  }

  async function plainAttributes(path: VirtualPath, attributes: FileAttributes): Promise<FileAttributes> {
    if (attributes.kind !== 'file') return attributes
    const held = shared.find(identityOf(attributes, path))
    const size = held?.content.size ?? (await plainSizeAt(path, attributes.size))
    return { ...attributes, size }
  }

  /** What a file shows as its size. What cannot be looked into shows what its length would mean if it were ours. */
  async function plainSizeAt(path: VirtualPath, sealed: number): Promise<number> {
    if (sealed === 0) return 0
    try {
      const file = await base.open(path, toLook)
      try {
        return await plainSizeIn(file, sealed)
      } finally {
        await file.close()
      }
    } catch {
      return plainSizeOf(sealed)
    }
  }

  async function plainSizeIn(file: OpenFile, sealed: number): Promise<number> {
    const start = Buffer.alloc(headerBytes)
    const length = await readFully(file, start, 0)
    if (isDare(start.subarray(0, Math.min(length, 64)))) return darePlainSizeOf(sealed)
    if (length < headerBytes || start[sealedStateByte] === 1) return plainSizeOf(sealed)
    // Whoever wrote it was stopped, or still writes elsewhere: how much of it is good takes a closer look.
    return (await openSealedContent({ file, chunks: shared.chunks }, sealed, await userKeys())).size
  }
}

const toLook: OpenIntent = {
  ...{ read: true, write: false, append: false, create: false, truncate: false, exclusive: false, mode: 0 },
}

function identityOf({ device, inode }: FileAttributes, path: VirtualPath): string {
  return inode === 0 ? path : `${device}:${inode}`
}

async function asked<T>(answer: Promise<T> | T): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    if (cause instanceof FileError) throw cause
    throw new FileError('keeper-unavailable', 'Cannot get the key of an encrypted home', { cause })
  }
}
