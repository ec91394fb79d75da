import { FileError } from './errors.ts'

declare const brand: unique symbol

/**
 * A path as the client sees it: absolute, normalised, without `.` and `..`.
 *
 * One character per byte (latin1), so that every name of the disk has exactly one spelling. Decode it with
 * `displayName` for people, patterns and plugins; never for the disk.
 */
export type VirtualPath = string & { readonly [brand]: 'VirtualPath' }

/** The root of what a client sees. */
// The literal has the shape that `virtualPath` gives.
export const rootPath = '/' as VirtualPath

/** Longest path taken from a client, in bytes: the kernel's own limit. */
const maxPathBytes = 4096

/** Makes the one canonical path out of what a client sent, relative to `base`. Throws on a NUL and on absurd length. */
export function virtualPath(raw: string, base: VirtualPath = rootPath): VirtualPath {
  if (raw.length > maxPathBytes)
    throw new FileError('name-too-long', 'Cannot use a path of more than 4096 bytes')
  if (raw.includes('\0')) throw new FileError('bad-message', 'Cannot use a path with a NUL byte')
  if (isCanonical(raw)) return raw as VirtualPath // just proved
  const parts: string[] = []
  const whole = raw.startsWith('/') ? raw : `${base}/${raw}`
  for (const part of whole.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') parts.pop()
    else parts.push(part)
  }
  // Joined from parts that are neither empty nor dots.
  return `/${parts.join('/')}` as VirtualPath
}

/** The directory that holds `path`; the root holds itself. */
export function parentOf(path: VirtualPath): VirtualPath {
  const cut = path.lastIndexOf('/')
  return (cut <= 0 ? '/' : path.slice(0, cut)) as VirtualPath // a prefix at a separator stays canonical
}

/** The last component of `path`; empty for the root. */
export function nameOf(path: VirtualPath): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** `path` with one more component, which must be a single name. */
export function childOf(path: VirtualPath, name: string): VirtualPath {
  return (path === '/' ? `/${name}` : `${path}/${name}`) as VirtualPath // a single name keeps it canonical
}

/** Whether `path` is `ancestor` or lies below it. */
export function isWithin(path: VirtualPath, ancestor: VirtualPath): boolean {
  if (ancestor === '/') return true
  return path === ancestor || (path.startsWith(ancestor) && path.charCodeAt(ancestor.length) === 0x2f)
}

/** The bytes of a path or name. */
export function bytesOf(name: string): Buffer {
  return Buffer.from(name, 'latin1')
}

/** A path or name for people, patterns and plugins: UTF-8 where it is UTF-8, `\xNN` for each byte elsewhere. */
export function displayName(name: string): string {
  if (!/[\x80-\xff]/.test(name)) return name
  const bytes = bytesOf(name)
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return name.replace(/[\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`)
  }
}

/** The one-character-per-byte form of text that people wrote (configuration, accounts, plugins). */
export function nameFromText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

/** True for what needs no work: most paths of most clients. */
function isCanonical(raw: string): boolean {
  if (raw === '/') return true
  if (raw.charCodeAt(0) !== 0x2f || raw.charCodeAt(raw.length - 1) === 0x2f) return false
  return !raw.includes('//') && !raw.includes('/.')
}
