import { lstatSync, unlinkSync, type Stats } from 'node:fs'
import { bytesOf } from '../base/virtual-path.ts'
import type { EventStatus, FileEvent } from './event.ts'
import type { OpenIntent } from './outbox.ts'

/** What the disk says about an intent that an earlier life left behind. */
export type Finding =
  /** The effect is there: the event is told as it now is. */
  | { readonly found: 'happened'; readonly event: FileEvent }
  /** It did not happen and nobody heard that it did: nothing to tell. */
  | { readonly found: 'nothing' }
  /** An upload was cut short; its bytes so far may lie in `partPath`. */
  | { readonly found: 'cut'; readonly event: FileEvent; readonly partPath?: string }
  /** The disk does not tell. The client was not answered, so nothing is told. */
  | { readonly found: 'unknown' }

/**
 * Holds an intent against the disk. The client of such an intent never heard "done", so an event that cannot be
 * proved is left out: there is no event without its operation.
 */
export function reconcile(intent: OpenIntent): Finding {
  const { check, event, createdMs } = intent
  switch (check.of) {
    case 'publish': {
      const final = seen(check.finalPath)
      if (final?.ino === check.inode) return happened(event, final.size)
      const part = seen(check.partPath)
      if (part?.ino === check.inode) return cut(event, part.size, check.partPath)
      return { found: 'unknown' }
    }
    case 'in-place': {
      // Bytes were still being written: nobody knows whether all of them came.
      const final = seen(check.finalPath)
      return final?.ino === check.inode ? cut(event, final.size) : { found: 'unknown' }
    }
    case 'remove':
      return seen(check.path) === undefined ? happened(event) : { found: 'nothing' }
    case 'rename': {
      const isThere = seen(check.to)?.ino === check.inode
      const isStillHere = seen(check.from)?.ino === check.inode
      if (isThere && isStillHere && check.toWasFree) {
        // Without native code a rename that may replace nothing is a second name and the end of the first.
        return ended(check.from) ? happened(event) : { found: 'unknown' }
      }
      if (isThere && !isStillHere) return happened(event)
      return isStillHere ? { found: 'nothing' } : { found: 'unknown' }
    }
    case 'make-directory': {
      const made = seen(check.path)
      if (made === undefined || !made.isDirectory()) return { found: 'nothing' }
      return bornBefore(made, createdMs) ? { found: 'nothing' } : happened(event)
    }
    case 'unknown':
      return { found: 'unknown' }
  }
}

/** What a path stands for, links not followed; undefined when there is nothing. */
function seen(path: string): Stats | undefined {
  try {
    return lstatSync(bytesOf(path))
  } catch {
    return undefined
  }
}

/** Takes a name away; false when that cannot be done. */
function ended(path: string): boolean {
  try {
    unlinkSync(bytesOf(path))
    return true
  } catch {
    return false
  }
}

/** A directory that was there before anybody meant to make it. The kernel stamps with a clock that ticks slowly. */
function bornBefore({ birthtimeMs }: Stats, ms: number): boolean {
  return birthtimeMs > 0 && birthtimeMs < ms - 100
}

const doneStatus: EventStatus = 1
const cutStatus: EventStatus = 2

function happened(event: FileEvent, size = event.size): Finding {
  const { sha256: _unproved, ...metadata } = event.metadata ?? {}
  return {
    found: 'happened',
    event: { ...event, size, status: doneStatus, metadata: { ...metadata, recovered: 'true' } },
  }
}

function cut(event: FileEvent, size: number, partPath?: string): Finding {
  return {
    found: 'cut',
    // Of a copy, the size of its source is told.
    event: {
      ...event,
      size: event.action === 'copy' ? event.size : size,
      status: cutStatus,
      metadata: { ...event.metadata, recovered: 'true' },
    },
    ...(partPath === undefined ? {} : { partPath }),
  }
}
