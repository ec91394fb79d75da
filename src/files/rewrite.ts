import type { AttributeChange, FileAttributes } from '../base/file.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import type { OpenFile } from '../storage/backend.ts'
import { copyRange } from './copy-range.ts'
import type { HiddenPart } from './hidden-part.ts'

/** A hidden file, opened, that takes the place of the one being rewritten. */
export interface OpenPart {
  readonly hidden: HiddenPart
  readonly file: OpenFile
}

/** An existing file that was opened to be written and not emptied, as `scp` does with what it replaces. */
export interface Rewrite extends OpenFile {
  /** The hidden file, while the new content is there. */
  readonly hidden: HiddenPart | undefined
  /** Makes the content whole: what was not rewritten is kept. Called once, before `close`. */
  settle(): Soon<void>
}

/** More than this of the old content is not copied: the new is then written over the old, as if it had been all along. */
const mostCopied = 64 * 1024 * 1024
/** A hole of this size is a client whose writes overtake each other; a larger one writes here and there. */
const mostHole = 4 * 1024 * 1024

/**
 * Wraps `old` so that writing it anew from its beginning happens in a hidden file, and the old content stays until the
 * new is complete. What begins elsewhere (resuming, random writes) is written in place.
 *
 * Calls take effect one after the other, in the order they came.
 */
export function createRewrite(old: OpenFile, beginPart: () => Soon<OpenPart>): Rewrite {
  let part: OpenPart | undefined
  /** In place, for good. */
  let inPlace = false
  /** The part holds the content up to here. */
  let end = 0
  /** The client said how long the file is: nothing of the old one follows. */
  let sized = false
  /** What a change of attributes asked of the part, in case it is given up. */
  let asked: AttributeChange = {}
  let busy: Promise<unknown> | undefined

  return {
    get hidden() {
      return part?.hidden
    },
    read: (into, position) => inOrder(() => read(into, position)),
    write: (chunks, position) => inOrder(() => write(chunks, position)),
    attributes: () => inOrder(attributes),
    change: (change) => inOrder(() => changeAny(change)),
    sync: () => inOrder(() => (part?.file ?? old).sync()),
    settle: () => inOrder(settle),
    close: () => inOrder(close),
  }

  function close(): Soon<void> {
    const closing = recovering<void>(
      () => part?.file.close(),
      (error) =>
        whenReady(old.close(), () => {
          throw error
        }),
    )
    return whenReady(closing, () => old.close())
  }

  function inOrder<T>(task: () => Soon<T>): Soon<T> {
    const result = busy === undefined ? task() : busy.then(task)
    if (!(result instanceof Promise)) return result
    const turn: Promise<unknown> = result
      .catch(() => {})
      .then(() => {
        if (busy === turn) busy = undefined
      })
    busy = turn
    return result
  }

  function write(chunks: readonly Buffer[], position: number): Soon<void> {
    const length = lengthOf(chunks)
    if (inPlace || length === 0) return old.write(chunks, position)
    if (part === undefined && position > 0) {
      inPlace = true
      return old.write(chunks, position)
    }
    if (position > end + mostHole) return whenReady(giveUpPart(), () => old.write(chunks, position))
    return whenReady(part ?? begun(), ({ file }) =>
      whenReady(position > end ? fill(file, position) : undefined, () =>
        whenReady(file.write(chunks, position), () => {
          end = Math.max(end, position + length)
        }),
      ),
    )
  }

  function begun(): Soon<OpenPart> {
    return whenReady(beginPart(), (opened) => {
      part = opened
      return opened
    })
  }

  function read(into: Buffer, position: number): Soon<number> {
    if (part === undefined) return old.read(into, position)
    if (position < end)
      return part.file.read(into.subarray(0, Math.min(into.length, end - position)), position)
    return sized ? 0 : old.read(into, position)
  }

  function attributes(): Soon<FileAttributes> {
    if (part === undefined) return old.attributes()
    const { file } = part
    return whenReady(file.attributes(), (now) =>
      sized ? now : whenReady(old.attributes(), ({ size }) => ({ ...now, size: Math.max(end, size) })),
    )
  }

  function changeAny(change: AttributeChange): Soon<void> {
    const { size, ...others } = change
    if (inPlace) return old.change(change)
    if (part === undefined) {
      if (size !== 0) {
        // Cut or lengthened before the first byte: no rewriting from the beginning.
        if (size !== undefined) inPlace = true
        return old.change(change)
      }
      return whenReady(begun(), () => changeAny(change))
    }
    const { file } = part
    asked = { ...asked, ...others }
    if (size === undefined) return file.change(others)
    return whenReady(size > end && !sized ? keep(file, size) : undefined, () => {
      if (part === undefined) return old.change(change)
      return whenReady(file.change(change), () => {
        end = size
        sized = true
      })
    })
  }

  /** What follows the part is kept: copied behind it, or the part is written over the beginning of the old file. */
  function settle(): Soon<void> {
    if (part === undefined || sized) return undefined
    const { file } = part
    return whenReady(old.attributes(), ({ size }) => (size <= end ? undefined : keep(file, size)))
  }

  /** Keeps the old content up to `to` behind the part, or goes on in place where that is much. */
  function keep(file: OpenFile, to: number): Soon<void> {
    return whenReady(old.attributes(), ({ size }) =>
      Math.min(size, to) - end <= mostCopied ? fill(file, to) : giveUpPart(),
    )
  }

  /** Takes old content over into the part, up to `to`; beyond the old file there is a hole. */
  async function fill(file: OpenFile, to: number): Promise<void> {
    if (!sized) await copyRange(old, file, end, to)
    end = Math.max(end, to)
  }

  /** Goes on in place, with everything that was written so far. */
  async function giveUpPart(): Promise<void> {
    inPlace = true
    if (part === undefined) return
    const { file, hidden } = part
    await copyRange(file, old, 0, end)
    await old.change({ ...asked, ...(sized ? { size: end } : {}) })
    part = undefined
    await file.close()
    await hidden.discard()
  }
}

function lengthOf(chunks: readonly Buffer[]): number {
  let length = 0
  for (const chunk of chunks) length += chunk.length
  return length
}
