import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** Longest socket path that every system takes whole; a longer one is cut silently on some. */
const longestPath = 100

/** A short name of a socket; `close` gives up what makes it short. */
export interface ShortSocketPath {
  readonly path: string
  close(): void
}

/** A path of at most 100 bytes that leads to the same socket. */
export function shortSocketPath(path: string): ShortSocketPath {
  if (Buffer.byteLength(path) <= longestPath) return { path, close() {} }
  return process.platform === 'linux' ? throughDescriptor(path) : throughLink(path)
}

/** Linux names an open folder by its descriptor, which nobody else can exchange. */
function throughDescriptor(path: string): ShortSocketPath {
  const folder = openSync(dirname(path), 'r')
  return { path: `/proc/self/fd/${folder}/${basename(path)}`, close: () => closeSync(folder) }
}

/** Elsewhere a link in a private temporary folder leads to the long one. */
function throughLink(path: string): ShortSocketPath {
  const folder = mkdtempSync(join(tmpdir(), 'sts-'))
  symlinkSync(dirname(path), join(folder, 's'))
  return {
    path: join(folder, 's', basename(path)),
    close: () => rmSync(folder, { recursive: true, force: true }),
  }
}
