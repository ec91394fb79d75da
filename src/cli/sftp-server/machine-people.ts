import { readFileSync } from 'node:fs'
import { virtualPath, type VirtualPath } from '../../base/virtual-path.ts'
import type { People } from '../../sftp/people.ts'

/** The people of this machine, from its own lists, read when somebody first asks. `self` is who runs the program. */
export function machinePeople(self: { readonly home: VirtualPath }): People {
  const users = lazily(() => readRecords('/etc/passwd'))
  const groups = lazily(() => readRecords('/etc/group'))
  const userNames = lazily(() => namesById(users()))
  const groupNames = lazily(() => namesById(groups()))
  return {
    userName: (uid) => userNames().get(uid) ?? '',
    groupName: (gid) => groupNames().get(gid) ?? '',
    homeOf(name) {
      if (name === '') return self.home
      const home = users().find(([user]) => user === name)?.[5]
      return home?.startsWith('/') === true ? virtualPath(home) : undefined
    },
  }
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}

/** Lines of colon-separated fields, one character per byte; none when the file cannot be read. */
function readRecords(file: string): readonly (readonly string[])[] {
  try {
    return readFileSync(file, 'latin1')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.split(':'))
  } catch {
    return []
  }
}

/** The first line with an id decides, as in the system's own look-up. */
function namesById(records: readonly (readonly string[])[]): ReadonlyMap<number, string> {
  const names = new Map<number, string>()
  for (const [name = '', , id = ''] of records) {
    const number = Number(id)
    if (id !== '' && Number.isInteger(number) && !names.has(number)) names.set(number, name)
  }
  return names
}
