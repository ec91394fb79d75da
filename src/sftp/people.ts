import type { VirtualPath } from '../base/virtual-path.ts'

/** Names of owners and homes, one character per byte, as far as the client may learn them. */
export interface People {
  /** The name of a user id, or an empty string. */
  userName(uid: number): string
  /** The name of a group id, or an empty string. */
  groupName(gid: number): string
  /** Where `~name` is; undefined for everybody whom the client may not ask about. */
  homeOf(name: string): VirtualPath | undefined
}

/** Nobody has a name. */
export const namelessPeople: People = {
  userName: () => '',
  groupName: () => '',
  homeOf: () => undefined,
}
