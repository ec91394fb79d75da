import { closeSync, close as closeLater, fsync, readSync, readvSync, read, writevSync, writev } from 'node:fs'
import { FileError } from '../base/errors.ts'
import { whenReady, type Soon } from '../base/soon.ts'
import type { CallPlace, DirectoryCalls } from '../native/directory-calls.ts'
import { fileErrorFrom } from '../native/errno.ts'
import type { FileClaim, FileClaims } from '../native/file-claim.ts'
import type { OpenFile } from './backend.ts'
import type { Disk } from './disks.ts'

/** What an open file of this machine is made of. */
export interface LocalFileOptions {
  /** A descriptor of a regular file; this owns it from now on. */
  readonly fd: number
  readonly append: boolean
  readonly directory: DirectoryCalls
  readonly disk: Disk
  readonly claims: FileClaims
}

/** Most chunks of one `writev`. */
const mostChunks = 1024
/** What copying may take: a kilobyte in a microsecond is what slow memory does. */
const workMsPerByte = 1e-6

/** Wraps an open descriptor. Bytes move on this thread while the disk is fast, in the pool while it is not. */
export function createLocalFile({ fd, append, directory, disk, claims }: LocalFileOptions): OpenFile {
  let open = true
  let pending = 0
  let claim: FileClaim | undefined
  let whenIdle: (() => void) | undefined

  return {
    read(into, position) {
      mustBeOpen()
      if (into.length === 0 || position > mostPosition) return 0
      return disk.bytes.inline
        ? timed(into.length, () => readSync(fd, into, 0, into.length, position))
        : inPool(() => readLater(into, position), into.length)
    },
    readNow(pieces, position) {
      mustBeOpen()
      if (!disk.bytes.inline) return undefined
      return position > mostPosition ? 0 : timed(lengthOf(pieces), () => readvSync(fd, pieces, position))
    },
    write(chunks, position) {
      mustBeOpen()
      const length = lengthOf(chunks)
      if (length === 0) return undefined
      if (!append && position + length > mostPosition)
        throw new FileError('too-large', 'Cannot write beyond what a file can hold')
      const from = append ? null : position
      return disk.bytes.inline
        ? writeNow(chunks, from, length)
        : inPool(() => writeLater(chunks, from), length)
    },
    attributes() {
      mustBeOpen()
      return counted(directory.attributesOf(fd))
    },
    change(change) {
      mustBeOpen()
      return counted(directory.changeOf(fd, change))
    },
    sync() {
      mustBeOpen()
      // A sync waits for the disk whatever its speed: always in the pool.
      return counted(
        new Promise<void>((resolve, reject) => {
          fsync(fd, (error) =>
            error === null ? resolve() : reject(fileErrorFrom(error, 'Cannot sync a file')),
          )
        }),
      )
    },
    claim() {
      mustBeOpen()
      const taken = counted(claims.take(fd, callPlace()))
      return whenReady(taken, (given) => {
        claim = given
        return given !== undefined
      })
    },
    claimed() {
      mustBeOpen()
      return counted(claims.taken(fd, callPlace()))
    },
    close() {
      mustBeOpen()
      open = false
      if (pending === 0) return closeNow()
      // The number of the descriptor must not go to another file under a call that still runs.
      return new Promise<void>((resolve) => (whenIdle = resolve)).then(closeNow)
    },
  }

  function mustBeOpen(): void {
    if (!open) throw new FileError('bad-handle', 'Cannot use a file after it was closed')
  }

  /** Reads at once, and takes note of how long that took. */
  function timed(bytes: number, readBytes: () => number): number {
    const start = performance.now()
    try {
      return readBytes()
    } catch (error) {
      throw fileErrorFrom(error, 'Cannot read a file')
    } finally {
      disk.bytes.took(performance.now() - start, bytes * workMsPerByte)
    }
  }

  function readLater(into: Buffer, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      read(fd, into, 0, into.length, position, (error, length) =>
        error === null ? resolve(length) : reject(fileErrorFrom(error, 'Cannot read a file')),
      )
    })
  }

  function writeNow(chunks: readonly Buffer[], position: number | null, length: number): void {
    const start = performance.now()
    try {
      for (let left: Rest | undefined = { chunks, position }; left !== undefined;) {
        const portion = left.chunks.slice(0, mostChunks)
        left = restAfter(left, writevSync(fd, portion, left.position ?? undefined))
      }
    } catch (error) {
      throw fileErrorFrom(error, 'Cannot write a file')
    } finally {
      disk.bytes.took(performance.now() - start, length * workMsPerByte)
    }
  }

  async function writeLater(chunks: readonly Buffer[], position: number | null): Promise<void> {
    for (let left: Rest | undefined = { chunks, position }; left !== undefined;)
      left = restAfter(left, await writePortion(left))
  }

  function writePortion({ chunks, position }: Rest): Promise<number> {
    return new Promise((resolve, reject) => {
      writev(fd, chunks.slice(0, mostChunks), position, (error, length) =>
        error === null ? resolve(length) : reject(fileErrorFrom(error, 'Cannot write a file')),
      )
    })
  }

  async function inPool<T>(task: () => Promise<T>, bytes: number): Promise<T> {
    const start = performance.now()
    const turn = disk.limiter.run(task)
    if (turn === undefined)
      throw new FileError('busy', 'Cannot queue another call: the disk does not keep up')
    try {
      return await counted(turn)
    } finally {
      disk.bytes.took(performance.now() - start, bytes * workMsPerByte)
    }
  }

  function counted<T>(result: Soon<T>): Soon<T> {
    if (!(result instanceof Promise)) return result
    pending += 1
    return result.finally(() => {
      pending -= 1
      if (pending === 0) whenIdle?.()
    })
  }

  function callPlace(): CallPlace {
    return { inline: disk.calls.inline, limiter: disk.limiter }
  }

  function closeNow(): Soon<void> {
    claim?.release()
    if (disk.bytes.inline) return closeSync(fd)
    // On a network disk closing is when it hears of the bytes, so it may wait and may fail.
    return new Promise((resolve, reject) => {
      closeLater(fd, (error) =>
        error === null || error === undefined
          ? resolve()
          : reject(fileErrorFrom(error, 'Cannot close a file')),
      )
    })
  }
}

/** The largest offset that a number holds exactly; no disk has a file of that size. */
const mostPosition = Number.MAX_SAFE_INTEGER

interface Rest {
  readonly chunks: readonly Buffer[]
  readonly position: number | null
}

function lengthOf(chunks: readonly Buffer[]): number {
  let length = 0
  for (const chunk of chunks) length += chunk.length
  return length
}

/** What is left to write after `written` bytes; undefined at the end. */
function restAfter({ chunks, position }: Rest, written: number): Rest | undefined {
  let left = written
  let index = 0
  for (; index < chunks.length; index += 1) {
    const { length } = chunks[index] as Buffer // index is inside
    if (left < length) break
    left -= length
  }
  if (index === chunks.length) return undefined
  const [cut, ...rest] = chunks.slice(index)
  // There is one more chunk, as the loop found.
  const remaining = [(cut as Buffer).subarray(left), ...rest]
  return { chunks: remaining, position: position === null ? null : position + written }
}
