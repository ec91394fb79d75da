import type { DirectoryEntry, FileAttributes, FileKind } from '../base/file.ts'
import type { People } from './people.ts'

/** Writes entries as lines of `ls -l`, in the form of OpenSSH. */
export interface LongNames {
  /** The line, one character per byte; what a name holds cannot break it. */
  of(entry: DirectoryEntry): string
}

/** Creates a writer that remembers dates and owners: a directory of many files has few of either. */
export function createLongNames(people: People, now: () => number = Date.now): LongNames {
  const dates = new Map<number, string>()
  const owners = new Map<number, string>()
  const groups = new Map<number, string>()
  const modes = new Map<number, string>()
  let recentSince = 0
  let recentUntil = 0

  return {
    of({ name, attributes }) {
      const mode = remembered(modes, attributes.mode | (kinds.indexOf(attributes.kind) << 12), () =>
        modeText(attributes),
      )
      const owner = remembered(owners, attributes.uid, () =>
        padded(people.userName(attributes.uid), attributes.uid),
      )
      const group = remembered(groups, attributes.gid, () =>
        padded(people.groupName(attributes.gid), attributes.gid),
      )
      const links = String(attributes.links).padStart(3)
      const size = String(attributes.size).padStart(8)
      return `${mode} ${links} ${owner} ${group} ${size} ${dateOf(attributes.modifyTime)} ${printable(name)}`
    },
  }

  /** One text per minute; forgotten when the border between "recent" and "old" has moved. */
  function dateOf(seconds: number): string {
    const current = now() / 1000
    if (current >= recentUntil || current < recentUntil - 3600) {
      dates.clear()
      recentSince = current - halfYearSeconds
      recentUntil = current + 3600
    }
    const minute = Math.floor(seconds / 60)
    return remembered(dates, minute, () =>
      dateText(seconds, seconds >= recentSince && seconds <= current + 60),
    )
  }
}

const halfYearSeconds = (365 * 24 * 3600) / 2
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const kinds: readonly FileKind[] = [
  'file',
  'directory',
  'link',
  'fifo',
  'socket',
  'character-device',
  'block-device',
]
const kindLetters: Readonly<Record<FileKind, string>> = {
  file: '-',
  directory: 'd',
  link: 'l',
  fifo: 'p',
  socket: 's',
  'character-device': 'c',
  'block-device': 'b',
}

/** Bounded: a directory with a million different dates must not fill the memory. */
function remembered(memory: Map<number, string>, key: number, make: () => string): string {
  const known = memory.get(key)
  if (known !== undefined) return known
  if (memory.size >= 2048) memory.clear()
  const made = make()
  memory.set(key, made)
  return made
}

function padded(name: string, id: number): string {
  return (name === '' ? String(id) : printable(name)).padEnd(8)
}

function dateText(seconds: number, recent: boolean): string {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return 'Jan  1  1970'
  const day = `${months[date.getMonth()] ?? ''} ${String(date.getDate()).padStart(2)}`
  if (!recent) return `${day}  ${date.getFullYear()}`
  return `${day} ${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`
}

function modeText(attributes: FileAttributes): string {
  const { mode } = attributes
  const user = triple(mode >> 6, (mode & 0o4000) !== 0, 's')
  const group = triple(mode >> 3, (mode & 0o2000) !== 0, 's')
  const others = triple(mode, (mode & 0o1000) !== 0, 't')
  return kindLetters[attributes.kind] + user + group + others
}

function triple(bits: number, special: boolean, letter: string): string {
  const runs = (bits & 1) !== 0
  const last = special ? (runs ? letter : letter.toUpperCase()) : runs ? 'x' : '-'
  return ((bits & 4) !== 0 ? 'r' : '-') + ((bits & 2) !== 0 ? 'w' : '-') + last
}

/** Line breaks and other control characters would make a second line out of one name. */
function printable(name: string): string {
  // oxlint-disable-next-line no-control-regex
  return /[\x00-\x1f\x7f]/.test(name) ? name.replace(/[\x00-\x1f\x7f]/g, '?') : name
}
