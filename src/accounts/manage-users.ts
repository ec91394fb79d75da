import type { AccountChanges, Actor } from './account-changes.ts'
import { AccountError } from './account-error.ts'
import { fieldsKept, otherWayOf, usableUser, withChanges } from './change-fields.ts'
import { completeUser, surroundingsOf, type CompletionOptions } from './complete-user.ts'
import { withoutSecrets } from './plugin-question.ts'
import { KeyError, parseAuthorizedKey } from './public-key.ts'
import { sealSecrets, withSecretsOf } from './seal-secrets.ts'
import type { SecretBox } from './secret-box.ts'
import { newTotpSecret, totpUri, type TotpKind } from './totp.ts'
import type { User } from './user.ts'
import type { UserStore } from './user-store.ts'
import { nameMeant, namingProblem } from './username.ts'

/** Changes users on an operator's behalf, and tells everybody who wants to know. */
export interface UserManager {
  list(): User[]
  /** The user as stored, secrets hidden; with groups merged where `complete` is asked for. */
  show(username: string, complete?: boolean): { readonly user: User; readonly problem?: string }
  /** Makes a user; gives it back with secrets hidden. */
  add(fields: NewUser, by: Actor): Promise<User>
  /** Changes fields by their SFTPGo names; see `withChanges`. Secrets hidden in what it gives back. */
  set(username: string, changes: Readonly<Record<string, unknown>>, by: Actor): Promise<User>
  setPassword(username: string, password: string, by: Actor): Promise<void>
  addKey(username: string, line: string, by: Actor): Promise<string>
  /** By fingerprint or by the key itself. */
  removeKey(username: string, key: string, by: Actor): Promise<void>
  /** Gives a user a second factor over SSH; what an authenticator needs is told this once. */
  addTotp(username: string, kind: string, by: Actor): Promise<NewTotp>
  removeTotp(username: string, by: Actor): Promise<void>
  setStatus(username: string, status: 0 | 1, by: Actor): Promise<void>
  remove(username: string, by: Actor): Promise<void>
}

/** A new second factor. */
export interface NewTotp {
  /** In base32. */
  readonly secret: string
  /** `otpauth://...` */
  readonly uri: string
}

/** A user to make. What is left out is SFTPGo's zero, with all permissions on "/". */
export interface NewUser {
  readonly username: string
  /** In clear; or a hash, stored as it is. */
  readonly password?: string
  readonly record?: Readonly<Record<string, unknown>>
}

/** What the manager stands on. */
export interface UserManagerOptions {
  readonly store: UserStore
  readonly secrets: SecretBox
  readonly changes: AccountChanges
  readonly completion: CompletionOptions
  /** SFTPGo's bits: see `namingRules`. */
  readonly namingRules: number
  /** Kinds of second factors, the usual one first. */
  readonly totpKinds: readonly TotpKind[]
  readonly now: () => number
  /** Where homes lie for users that are made without one. */
  readonly homeOf: (username: string) => string
}

/** Creates the manager. */
export function createUserManager(options: UserManagerOptions): UserManager {
  const { store, changes, now } = options
  return {
    list: () => store.listUsers({ limit: 1_000_000 }).map(withoutSecrets),
    show(username, complete = false) {
      const user = changes.existing(username)
      const completed = completeUser(user, surroundingsOf(store), options.completion)
      if ('problem' in completed) return { user: withoutSecrets(user), problem: completed.problem }
      return { user: withoutSecrets(complete ? completed.user : user) }
    },
    async add({ username: typed, password, record = {} }, by) {
      const username = nameMeant(typed, options.namingRules)
      const notAllowed = namingProblem(username, options.namingRules)
      if (notAllowed !== undefined) throw new AccountError('invalid', `The name ${notAllowed}`)
      if (store.findUser(username) !== undefined)
        throw new AccountError('exists', `There is a user "${username}" already`)
      changes.requireChangeable(username)
      const hash = password === undefined ? {} : { password: await changes.hashed(password) }
      const defaults = { status: 1, permissions: { '/': ['*'] }, home_dir: options.homeOf(username) }
      const user = usableUser({ ...defaults, ...record, ...hash, username })
      return withoutSecrets(
        await changes.put({ ...user, last_password_change: password === undefined ? 0 : now() }, by),
      )
    },
    async set(username, wanted, by) {
      const before = changes.existing(username)
      const other = Object.keys(wanted)
        .map(otherWayOf)
        .find((way) => way !== undefined)
      if (other !== undefined) throw new AccountError('invalid', other)
      // Sealed before the change, which cannot wait; what else is changed meanwhile stays.
      const next = usableUser({ ...withChanges(before, wanted), username })
      const sealed = await sealSecrets(options.secrets, next, before)
      const changed = await changes.change(username, by, (user) =>
        withSecretsOf({ ...usableUser({ ...withChanges(user, wanted) }), ...fieldsKept(user) }, sealed),
      )
      return withoutSecrets(changed)
    },
    async setPassword(username, password, by) {
      changes.existing(username)
      changes.requireChangeable(username)
      const hash = await changes.hashed(password)
      await changes.change(
        username,
        by,
        ({ filters: { require_password_change: _done, ...filters }, ...user }) => ({
          ...{ ...user, filters, password: hash, last_password_change: now() },
        }),
      )
    },
    async addKey(username, line, by) {
      const key = readKey(line)
      await changes.change(username, by, (user) => {
        const others = (user.public_keys ?? []).filter((one) => one.split(' ')[1] !== key.text.split(' ')[1])
        return {
          ...user,
          public_keys: [...others, `${key.text}${key.comment === '' ? '' : ` ${key.comment}`}`],
        }
      })
      return key.fingerprint
    },
    async removeKey(username, key, by) {
      const isMeant = (line: string): boolean =>
        line === key || line.split(' ')[1] === key.split(' ')[1] || readKey(line).fingerprint === key
      if (!(changes.existing(username).public_keys ?? []).some(isMeant))
        throw new AccountError('not-found', `"${username}" has no such key`)
      await changes.change(username, by, (user) => ({
        ...user,
        public_keys: (user.public_keys ?? []).filter((line) => !isMeant(line)),
      }))
    },
    async addTotp(username, kindName, by) {
      const { filters } = changes.existing(username)
      if (filters.totp_config?.enabled === true)
        throw new AccountError('exists', `"${username}" has a second factor already; remove it first`)
      const kind = options.totpKinds.find(({ name }) => kindName === '' || name === kindName)
      if (kind === undefined)
        throw new AccountError('not-found', `No second factor "${kindName}" stands in mfa.totp`)
      const secret = newTotpSecret()
      const sealed = await options.secrets.seal(secret, username)
      const totp = { enabled: true, config_name: kind.name, secret: sealed, protocols: ['SSH'] }
      await changes.change(username, by, (user) => ({
        ...user,
        filters: { ...user.filters, totp_config: totp },
      }))
      return { secret, uri: totpUri(username, secret, kind) }
    },
    async removeTotp(username, by) {
      if (changes.existing(username).filters.totp_config === undefined)
        throw new AccountError('not-found', `"${username}" has no second factor`)
      await changes.change(username, by, ({ filters: { totp_config: _gone, ...filters }, ...user }) => ({
        ...{ ...user, filters },
      }))
    },
    async setStatus(username, status, by) {
      await changes.change(username, by, (user) => ({ ...user, status }))
    },
    async remove(username, by) {
      const user = changes.existing(username)
      changes.requireChangeable(username)
      await store.removeUser(username)
      await changes.tell({ action: 'delete', type: 'user', name: username, data: withoutSecrets(user) }, by)
    },
  }
}

function readKey(line: string): ReturnType<typeof parseAuthorizedKey> {
  try {
    return parseAuthorizedKey(line)
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    throw new AccountError('invalid', error.message, { cause: error })
  }
}
