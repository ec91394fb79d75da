import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Most files of a folder that are looked at. */
const mostFiles = 2000

/** A text that changes when a file, or any file of a folder, changes. Reads no contents. Never throws. */
export async function fingerprintOf(paths: readonly string[]): Promise<string> {
  const marks = await Promise.all(paths.map((path) => markOf(path)))
  return marks.join('\n')
}

async function markOf(path: string): Promise<string> {
  try {
    const stats = await stat(path, { bigint: true })
    const mark = `${stats.dev} ${stats.ino} ${stats.mode} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`
    if (!stats.isDirectory()) return mark
    const names = (await readdir(path, { recursive: true })).slice(0, mostFiles)
    const files = await Promise.all(names.map(async (name) => fileMark(join(path, name))))
    return [mark, ...files].join('\n')
  } catch {
    return 'none'
  }
}

async function fileMark(path: string): Promise<string> {
  try {
    const { ino, size, ctimeNs } = await stat(path, { bigint: true })
    return `${ino} ${size} ${ctimeNs}`
  } catch {
    return 'none'
  }
}
