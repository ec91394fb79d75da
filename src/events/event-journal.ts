import { closeSync, ftruncateSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { diskErrorOf } from '../base/disk-error.ts'
import type { Logger } from '../base/log.ts'
import type { IntentCheck } from './event-log.ts'
import type { FileEvent, ServerEvent } from './event.ts'

/** One line of the journal. */
export type JournalRecord =
  /** Something is about to happen. */
  | readonly ['intent', id: string, createdMs: number, check: IntentCheck, event: FileEvent]
  /** It did not. */
  | readonly ['over', id: string]
  /** Something happened, which ends its intent; and who is to be told. */
  | readonly [
      'event',
      id: string,
      createdMs: number,
      sequence: number,
      notifiers: readonly string[],
      event: ServerEvent,
    ]
  /** A notifier was told. */
  | readonly ['told', id: string, notifier: string]

/**
 * Lines appended to a file at once, on this thread: a write that survives the death of the process, for the price of
 * one system call. It is kept short: what it says goes into the database soon after.
 */
export interface EventJournal {
  /** Appends lines; throws a `FileError` when the disk does not take them, and then holds none of them. */
  append(lines: string): void
  readonly sizeBytes: number
  /** Puts these lines in the place of all that it holds. */
  replace(lines: string): void
  close(): void
}

/** Opens the journal in `file` for appending, with what it holds. */
export function openEventJournal(file: string): EventJournal {
  let descriptor = openSync(file, 'a', 0o600)
  let sizeBytes = readFileSync(file).length
  // What an end or a broken disk cut off must not spoil the line after it.
  let torn = sizeBytes > 0
  return {
    append(lines) {
      const bytes = Buffer.from(torn ? `\n${lines}` : lines)
      torn = true
      writeWhole(descriptor, bytes, sizeBytes)
      torn = false
      sizeBytes += bytes.length
    },
    get sizeBytes() {
      return sizeBytes
    },
    replace(lines) {
      if (lines === '') {
        ftruncateSync(descriptor)
        sizeBytes = 0
        torn = false
        return
      }
      // Whole under another name first: a crash leaves the one or the other.
      const next = openSync(`${file}.new`, 'w', 0o600)
      const bytes = Buffer.from(lines)
      try {
        writeWhole(next, bytes, 0)
        renameSync(`${file}.new`, file)
      } catch (error) {
        closeSync(next)
        throw error
      }
      closeSync(next)
      closeSync(descriptor)
      descriptor = openSync(file, 'a', 0o600)
      sizeBytes = bytes.length
      torn = false
    },
    close: () => closeSync(descriptor),
  }
}

/** The lines that an earlier life left. One that was cut off by its end was never believed by anybody. */
export function readEventJournal(file: string, log: Logger): readonly JournalRecord[] {
  const records: JournalRecord[] = []
  const lines = textOf(file).split('\n')
  lines.pop() // what follows the last line end: nothing, or a line that was cut off
  for (const line of lines) {
    if (line === '') continue
    try {
      // Written by us in this form; what a broken disk made of it does not parse.
      records.push(JSON.parse(line) as JournalRecord)
    } catch {
      log.error('line of the event journal cannot be read', { file, bytes: line.length })
    }
  }
  return records
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

/** Writes all of `bytes` or, as far as the disk lets it, nothing. */
function writeWhole(descriptor: number, bytes: Buffer, sizeBefore: number): void {
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done)
  } catch (error) {
    try {
      ftruncateSync(descriptor, sizeBefore)
    } catch {
      // A half line at the end is not believed; one in the middle is reported at the next start.
    }
    throw diskErrorOf(error, 'Cannot write an event down')
  }
}
