import { closeSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'

/** Runs each event's work once, however often the event is told. */
export interface OncePerEvent {
  /** Runs `work` unless it was done for this id. Told again meanwhile: waits for the same work. A failure forgets the id. */
  run(eventId: string, work: () => Promise<void>): Promise<void>
}

/** How much is remembered, and where. */
export interface OncePerEventOptions {
  /** Default: 10,000 ids; beyond it the oldest is forgotten. */
  readonly remember?: number
  /**
   * A file of this plugin's own in which the ids are noted whose work is done, so that the next process knows them: a
   * plugin ends with its server, and a server that was killed tells its last events again. Left out: memory alone.
   */
  readonly file?: string
}

/**
 * Creates the memory of a notifier. Events are told at least once: a lost answer or a restart tells one again. Between
 * the work and the note of it a crash repeats the work; only the place where the work is done can rule that out.
 */
export function createOncePerEvent({ remember = 10_000, file }: OncePerEventOptions = {}): OncePerEvent {
  const notes = file === undefined ? undefined : openNotes(file, remember)
  const known = new Map<string, Promise<void>>(notes?.left.map((id) => [id, Promise.resolve()]))
  return {
    run(eventId, work) {
      const before = known.get(eventId)
      if (before !== undefined) return before
      const running = notes === undefined ? work() : work().then(() => notes.add(eventId))
      known.set(eventId, running)
      running.catch(() => known.delete(eventId))
      for (const oldest of known.keys()) {
        if (known.size <= remember) break
        known.delete(oldest)
      }
      return running
    },
  }
}

/** Ids in a file, a line each; the newest `most` of them survive a restart. */
function openNotes(file: string, most: number) {
  const left = linesOf(file).slice(-most)
  let lines = left.length
  const rewrite = (ids: readonly string[]): number => {
    // Whole under another name first: a crash leaves the one or the other.
    writeFileSync(`${file}.new`, ids.map((id) => `${id}\n`).join(''), { mode: 0o600 })
    renameSync(`${file}.new`, file)
    return openSync(file, 'a', 0o600)
  }
  let descriptor = rewrite(left)
  return {
    left,
    add(id: string): void {
      try {
        writeSync(descriptor, `${id}\n`)
      } catch {
        // The work is done and this process knows it. Failing would have it done again now, not perhaps later.
        return
      }
      lines += 1
      if (lines < 2 * most) return
      const kept = linesOf(file).slice(-most)
      closeSync(descriptor)
      descriptor = rewrite(kept)
      lines = kept.length
    },
  }
}

/** Whole lines: a crash may have cut the last one short. */
function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(0, -1)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
