import { childOf, nameOf, parentOf, type VirtualPath } from '../base/virtual-path.ts'

/** What every hidden name of an upload under way begins with; SFTPGo's own. */
export const partPrefix = '.sftpgo-upload.'

/** Whether a name is that of an upload under way: no client sees or addresses it. */
export function isPartName(name: string): boolean {
  return name.startsWith(partPrefix)
}

/** Whether a path leads to or through such a name. */
export function hasPartName(path: VirtualPath): boolean {
  return path.includes(`/${partPrefix}`)
}

/** Where an upload to `final` is written until it is complete: beside it, so that a rename is enough. */
export function partPathFor(final: VirtualPath, id: string): VirtualPath {
  const start = `${partPrefix}${id}.`
  return childOf(parentOf(final), start + nameOf(final).slice(0, longestName - start.length))
}

const longestName = 255
