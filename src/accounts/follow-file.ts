import { stat, statSync, type BigIntStats } from 'node:fs'

/**
 * Looks at a file every `intervalMs` and calls `changed` when it is another than before; the first look is now, so what
 * is read after this call is never older than what was seen. Returns what ends it.
 *
 * By looking, not by being told: editors and git replace files, and notifications of that get lost. `fs.watchFile` takes
 * its first look later, in the pool, and never tells of a change before that.
 */
export function followFile(path: string, intervalMs: number, changed: () => void): () => void {
  let seen = lookNow(path)
  let looking = false
  let ended = false
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    stat(path, { bigint: true }, (error, found) => {
      looking = false
      const now = signOf(error === null ? found : undefined)
      if (ended || now === seen) return
      seen = now
      changed()
    })
  }, intervalMs)
  timer.unref()
  return () => {
    ended = true
    clearInterval(timer)
  }
}

function lookNow(path: string): string {
  try {
    return signOf(statSync(path, { bigint: true }))
  } catch {
    return signOf(undefined)
  }
}

function signOf(found: BigIntStats | undefined): string {
  return found === undefined ? 'none' : [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ')
}
