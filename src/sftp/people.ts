import { nameFromText, rootPath, type VirtualPath } from '../base/virtual-path.ts'

/** Names of owners and homes, one character per byte, as far as the client may learn them. */
export interface People {
  /** The name of a user id, or an empty string. */
  userName(uid: number): string
  /** The name of a group id, or an empty string. */
  groupName(gid: number): string
  /** Where `~name` is, and `~` for an empty name; undefined for everybody whom the client may not ask about. */
  homeOf(name: string): VirtualPath | undefined
}

/** Nobody has a name. */
export const namelessPeople: People = {
  userName: () => '',
  groupName: () => '',
  homeOf: () => undefined,
}

/** A virtual user knows their own name and home and nobody else's: names of this machine stay unsaid. */
export function peopleFor(self: { readonly username: string; readonly uid: number }): People {
  const username = nameFromText(self.username)
  return {
    userName: (uid) => (self.uid > 0 && uid === self.uid ? username : ''),
    groupName: () => '',
    homeOf: (name) => (name === username ? rootPath : undefined),
  }
}
