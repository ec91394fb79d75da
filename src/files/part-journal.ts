import { closeSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { diskErrorOf } from '../base/disk-error.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { Backend } from '../storage/backend.ts'

/** An upload under way: where its bytes are, and the name they are meant for. Paths as the backend has them. */
export interface PartRecord {
  /** The real path of the backend's root: which place this is. */
  readonly root: string
  readonly part: VirtualPath
  readonly final: VirtualPath
}

/** Remembers uploads under way, so that the next life of the server finds what a crash left behind. */
export interface PartJournal {
  /** Throws a `FileError` where the disk takes no line. */
  begun(record: PartRecord): void
  /** Published or removed. */
  over(record: PartRecord): void
  /** What an earlier life left behind, not yet swept; of one place, or of all. */
  left(root?: string): readonly PartRecord[]
  /** A record of an earlier life is dealt with. */
  swept(record: PartRecord): void
  close(): void
}

/** Remembers nothing: for places where nothing outlives the process. */
export const forgetfulJournal: PartJournal = {
  begun() {},
  over() {},
  left: () => [],
  swept() {},
  close() {},
}

/**
 * Opens the journal in `file`, a line per step, appended. It has to survive the process, not the machine's
 * power: a lost line costs a hidden file that stays, never a byte of anybody's.
 */
export function openPartJournal(file: string): PartJournal {
  // An end is told with the next beginning, which saves a call for every file: a lost one costs a look at a name
  // that is gone and never used again.
  let ends = ''
  const left = new Map(readRecords(file).map((record) => [keyOf(record), record]))
  rewrite(file, [...left.values()])
  const descriptor = openSync(file, 'a', 0o600)
  const line = (step: '+' | '-', { root, part, final }: PartRecord): string =>
    `${JSON.stringify([step, root, part, final])}\n`
  let torn = false
  const append = (text: string): void => {
    const bytes = Buffer.from(torn ? `\n${ends}${text}` : ends + text)
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done)
    } catch (error) {
      // A disk that was full may have taken the half of a line: the next one must not join it.
      torn = true
      throw diskErrorOf(error, 'Cannot note an upload')
    }
    torn = false
    ends = ''
  }
  /** An end that is lost costs as little as one that is late, and what has ended has ended. */
  const appendEnds = (): void => {
    try {
      append('')
    } catch {
      ends = ''
    }
  }
  return {
    begun: (record) => append(line('+', record)),
    over(record) {
      ends += line('-', record)
      if (ends.length > mostWaitingEnds) appendEnds()
    },
    left: (root) => [...left.values()].filter((record) => root === undefined || record.root === root),
    swept(record) {
      if (!left.delete(keyOf(record))) return
      ends += line('-', record)
      appendEnds()
    },
    close() {
      if (ends !== '') appendEnds()
      closeSync(descriptor)
    },
  }
}

const mostWaitingEnds = 16 * 1024

/** Removes what an earlier life left in one place; with `keep`, gives it its name where nothing has that name. */
export async function sweepParts(
  backend: Backend,
  root: string,
  journal: PartJournal,
  options: { readonly keep: boolean; readonly log: Logger },
): Promise<number> {
  const records = journal.left(root)
  for (const record of records) {
    try {
      if (!options.keep || !(await namedAfterAll(backend, record))) await backend.remove(record.part)
      options.log.info('upload left behind was swept', { path: record.part })
    } catch (error) {
      options.log.debug('upload left behind was gone', { path: record.part, error: messageOf(error) })
    }
    journal.swept(record)
  }
  return records.length
}

/** Sweeps every place that the journal names; one that cannot be opened waits for the next time. */
export async function sweepAllParts(
  journal: PartJournal,
  openBackend: (realRoot: string) => Backend,
  options: { readonly keep: boolean; readonly log: Logger },
): Promise<void> {
  for (const root of new Set(journal.left().map((record) => record.root))) {
    try {
      const backend = openBackend(root)
      await sweepParts(backend, root, journal, options)
      await backend.close()
    } catch (error) {
      options.log.warn('place with parts of uploads could not be opened', { error: messageOf(error) })
    }
  }
}

async function namedAfterAll(backend: Backend, { part, final }: PartRecord): Promise<boolean> {
  try {
    await backend.rename(part, final, { replace: false })
    return true
  } catch {
    return false
  }
}

function keyOf({ root, part }: PartRecord): string {
  return `${root}\0${part}`
}

/** The records begun and not over. A line cut short by a crash is the last one and says nothing. */
function readRecords(file: string): readonly PartRecord[] {
  const open = new Map<string, PartRecord>()
  for (const line of readLines(file)) {
    const fields = parseLine(line)
    if (fields === undefined) continue
    const [step, record] = fields
    if (step === '+') open.set(keyOf(record), record)
    else open.delete(keyOf(record))
  }
  return [...open.values()]
}

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return []
  }
}

function parseLine(line: string): readonly [string, PartRecord] | undefined {
  let fields: unknown
  try {
    fields = JSON.parse(line)
  } catch {
    return undefined
  }
  if (!Array.isArray(fields) || fields.length !== 4) return undefined
  const [step, root, part, final]: unknown[] = fields
  if (typeof step !== 'string' || typeof root !== 'string') return undefined
  if (typeof part !== 'string' || typeof final !== 'string') return undefined
  // Written by us from canonical paths into a file that only we write.
  return [step, { root, part: part as VirtualPath, final: final as VirtualPath }]
}

function rewrite(file: string, records: readonly PartRecord[]): void {
  const lines = records.map(({ root, part, final }) => `${JSON.stringify(['+', root, part, final])}\n`)
  writeFileSync(`${file}.new`, lines.join(''), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
