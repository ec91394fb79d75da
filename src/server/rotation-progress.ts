import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** How far a round that seals everything anew has come. */
export interface RotationMark {
  /** The `kms.secrets.url` it seals with: another one is another round. */
  readonly url: string
  /** Everything up to this place is done ... */
  readonly after: string
  /** ... except these, which failed. */
  readonly failed: readonly string[]
}

/** Where that is kept, so that a round that was cut goes on. */
export interface RotationProgressFile {
  /** What an unfinished round of this `url` left; undefined where there is none, or a damaged one. */
  read(url: string): RotationMark | undefined
  write(mark: RotationMark): void
  clear(): void
}

/** Keeps the mark in `path`, replaced as a whole each time. */
export function rotationProgressFile(path: string): RotationProgressFile {
  return {
    read(url) {
      const mark = parseMark(readOr(path))
      return mark?.url === url ? mark : undefined
    },
    write(mark) {
      writeFileSync(`${path}.new`, JSON.stringify(mark), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    },
    clear: () => rmSync(path, { force: true }),
  }
}

function parseMark(text: string): RotationMark | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    // Each field is looked at.
    const { url, after, failed } = value as Record<string, unknown>
    if (typeof url !== 'string' || typeof after !== 'string' || !Array.isArray(failed)) return undefined
    return { url, after, failed: failed.filter((place): place is string => typeof place === 'string') }
  } catch {
    return undefined
  }
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
