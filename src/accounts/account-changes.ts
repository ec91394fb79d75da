import { AccountError } from './account-error.ts'
import { looksHashed } from './password-hash.ts'
import type { Passwords } from './password.ts'
import { withoutSecrets } from './plugin-question.ts'
import { sealSecrets } from './seal-secrets.ts'
import type { SecretBox } from './secret-box.ts'
import type { User } from './user.ts'
import type { UserStore } from './user-store.ts'

/** The steps that whoever changes accounts takes, each of which tells everybody who wants to know. */
export interface AccountChanges {
  /** The user, or an `AccountError`. */
  existing(username: string): User
  /** Refuses users that are kept in the users file. */
  requireChangeable(username: string): void
  /** Changes a user who exists. */
  change(username: string, by: Actor, action: (user: User) => User): Promise<User>
  /** Stores a whole user, new or not, with secrets sealed. */
  put(user: User, by: Actor): Promise<User>
  /** The hash of a clear password; a hash stays as it is. */
  hashed(password: string): Promise<string>
  /** Tells of a change that was made; `data` holds no secret. */
  tell(change: AccountChange, by: Actor): Promise<void>
}

/** Who changes something: the name of the operator, for notifiers. */
export interface Actor {
  readonly name: string
}

/** What was changed, in SFTPGo's words. */
export interface AccountChange {
  readonly action: AccountEvent['action']
  readonly type: 'user' | 'group' | 'folder' | 'ip_list_entry'
  readonly name: string
  readonly data: object
}

/** The part of the event log that changes of accounts use. */
export interface AccountEvents {
  recordProvider(event: AccountEvent): Promise<void>
}

/** A change of an account, in SFTPGo's words. */
export interface AccountEvent {
  readonly kind: 'provider'
  readonly action: 'add' | 'update' | 'delete'
  readonly objectType: string
  readonly objectName: string
  readonly objectData: string
  readonly username: string
  readonly address: string
  readonly role: string
}

/** What the steps stand on. */
export interface AccountChangesOptions {
  readonly store: UserStore
  readonly passwords: Passwords
  readonly secrets: SecretBox
  readonly events: AccountEvents
}

/** Creates the steps. */
export function createAccountChanges({
  store,
  passwords,
  secrets,
  events,
}: AccountChangesOptions): AccountChanges {
  const missing = (username: string): AccountError =>
    new AccountError('not-found', `There is no user "${username}"`)
  const existing = (username: string): User => {
    const user = store.findUser(username)
    if (user === undefined) throw missing(username)
    return user
  }
  const requireChangeable = (username: string): void => {
    if (!store.canChange(username))
      throw new AccountError('read-only', `"${username}" is kept in the users file; change it there`)
  }
  const tell = ({ action, type, name, data }: AccountChange, by: Actor): Promise<void> =>
    events.recordProvider({
      ...{ kind: 'provider', action, objectType: type, objectName: name, username: by.name, address: '' },
      objectData: JSON.stringify(data),
      role: '',
    })
  return {
    existing,
    requireChangeable,
    tell,
    async change(username, by, action) {
      existing(username)
      requireChangeable(username)
      const changed = await store.changeUser(username, action)
      if (changed === undefined) throw missing(username)
      await tell({ action: 'update', type: 'user', name: username, data: withoutSecrets(changed) }, by)
      return changed
    },
    async put(user, by) {
      const before = store.findUser(user.username)
      const stored = await store.putUser(await sealSecrets(secrets, user, before))
      const action = before === undefined ? 'add' : 'update'
      await tell({ action, type: 'user', name: user.username, data: withoutSecrets(stored) }, by)
      return stored
    },
    async hashed(password) {
      if (looksHashed(password)) return password
      const problem = passwords.passwordProblem(password)
      if (problem !== undefined) throw new AccountError('invalid', `The password ${problem}`)
      return passwords.hash(password)
    },
  }
}
