import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Folders that builds and package managers write to. */
const notSource = new Set(['node_modules', 'dist', 'bin', '.git', '__pycache__', '.venv', 'target'])
const mostFiles = 5_000

/**
 * Calls `changed` after files below the targets were saved, at most once at a time. Looking is as good as being told
 * for folders of this size, and works over every kind of mount.
 */
export function watchFiles(
  targets: readonly string[],
  changed: () => Promise<void>,
  everyMs = 200,
): { close(): void } {
  let seen = fingerprint(targets)
  let busy = false
  const look = async (): Promise<void> => {
    if (busy) return
    const now = fingerprint(targets)
    if (now === seen) return
    busy = true
    seen = now
    try {
      await changed()
    } finally {
      busy = false
    }
  }
  const timer = setInterval(() => void look(), everyMs)
  return { close: () => clearInterval(timer) }
}

function fingerprint(targets: readonly string[]): string {
  const lines: string[] = []
  for (const target of targets) note(target, lines)
  return lines.join('\n')
}

function note(path: string, lines: string[]): void {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined || lines.length > mostFiles) return
  if (!stats.isDirectory()) {
    lines.push(`${path} ${stats.size} ${stats.mtimeMs} ${stats.ino}`)
    return
  }
  for (const name of readdirSync(path).sort()) if (!notSource.has(name)) note(join(path, name), lines)
}
