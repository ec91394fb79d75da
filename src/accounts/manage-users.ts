import { AccountError } from './account-error.ts'
import type { AddressLists } from './address-lists.ts'
import { completeUser, type CompletionOptions } from './complete-user.ts'
import { parseDump, type AddressRule, type Dump } from './dump.ts'
import { looksHashed, parsePasswordHash } from './password-hash.ts'
import type { Passwords } from './password.ts'
import { parseUser } from './parse-user.ts'
import { withoutPassphrase, withoutSecrets } from './plugin-question.ts'
import { KeyError, parseAuthorizedKey } from './public-key.ts'
import { sealFilesystem, sealSecrets, withSecretsOf } from './seal-secrets.ts'
import type { SecretBox } from './secret-box.ts'
import { newTotpSecret, totpUri, type TotpKind } from './totp.ts'
import type { FilesystemConfig, User } from './user.ts'
import type { UserStore } from './user-store.ts'
import { nameMeant, namingProblem } from './username.ts'

/** Changes accounts on an operator's behalf, and tells everybody who wants to know. */
export interface UserManager {
  list(): User[]
  /** The user as stored, secrets hidden; with groups merged where `complete` is asked for. */
  show(username: string, complete?: boolean): { readonly user: User; readonly problem?: string }
  /** Makes a user; gives it back with secrets hidden. */
  add(fields: NewUser, by: Actor): Promise<User>
  /** Changes fields by their SFTPGo names; `filters.max_upload_file_size` reaches into an object, null clears. Secrets hidden in what it gives back. */
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
  /** Puts a network on a list, or takes it off; whether it was there. */
  addAddress(rule: AddressRule, by: Actor): Promise<void>
  removeAddress(rule: AddressRule, by: Actor): Promise<boolean>
  /** Takes over a dump of SFTPGo, as text, and reports what was not. */
  importDump(text: string, options: { readonly addOnly: boolean }, by: Actor): Promise<ImportReport>
}

/** A new second factor. */
export interface NewTotp {
  /** In base32. */
  readonly secret: string
  /** `otpauth://...` */
  readonly uri: string
}

/** Who changes something: the name of the operator, for notifiers. */
export interface Actor {
  readonly name: string
}

/** A user to make. What is left out is SFTPGo's zero, with all permissions on "/". */
export interface NewUser {
  readonly username: string
  /** In clear; or a hash, stored as it is. */
  readonly password?: string
  readonly record?: Readonly<Record<string, unknown>>
}

/** What became of a dump. */
export interface ImportReport {
  readonly users: readonly ImportedUser[]
  readonly groups: readonly string[]
  readonly folders: readonly string[]
  readonly addressRules: number
  /** Sections and entries that have no counterpart here. */
  readonly notCarriedOver: readonly string[]
}

/** What became of one user. */
export interface ImportedUser {
  readonly username: string
  readonly result: 'added' | 'updated' | 'kept' | 'skipped'
  /** Why it was skipped. */
  readonly problems: readonly string[]
  /** Fields that are not supported here, and keys that are not accepted. */
  readonly notCarriedOver: readonly string[]
  /** What keeps the user from logging in as things stand. */
  readonly warnings: readonly string[]
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

/** What the manager stands on. */
export interface UserManagerOptions {
  readonly store: UserStore
  readonly lists: AddressLists
  readonly passwords: Passwords
  readonly secrets: SecretBox
  readonly events: AccountEvents
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
  const { store, passwords, now } = options

  const existing = (username: string): User => {
    const user = store.findUser(username)
    if (user === undefined) throw new AccountError('not-found', `There is no user "${username}"`)
    return user
  }
  const changeable = (username: string): void => {
    if (!store.canChange(username))
      throw new AccountError('read-only', `"${username}" is kept in the users file; change it there`)
  }
  const tell = (
    action: AccountEvent['action'],
    type: string,
    name: string,
    data: object,
    by: Actor,
  ): Promise<void> =>
    options.events.recordProvider({
      ...{ kind: 'provider', action, objectType: type, objectName: name, username: by.name, address: '' },
      objectData: JSON.stringify(data),
      role: '',
    })
  const change = async (username: string, by: Actor, action: (user: User) => User): Promise<User> => {
    existing(username)
    changeable(username)
    const changed = await store.changeUser(username, action)
    if (changed === undefined) throw new AccountError('not-found', `There is no user "${username}"`)
    await tell('update', 'user', username, withoutSecrets(changed), by)
    return changed
  }
  const hashed = async (password: string): Promise<string> => {
    if (looksHashed(password)) return password
    const problem = passwords.passwordProblem(password)
    if (problem !== undefined) throw new AccountError('invalid', `The password ${problem}`)
    return passwords.hash(password)
  }
  const put = async (user: User, by: Actor): Promise<User> => {
    const before = store.findUser(user.username)
    const sealed = await sealSecrets(options.secrets, user, before)
    const stored = await store.putUser(sealed)
    await tell(before === undefined ? 'add' : 'update', 'user', user.username, withoutSecrets(stored), by)
    return stored
  }
  const warningsOf = (user: User): string[] => {
    const hash = user.password === undefined ? undefined : parsePasswordHash(user.password)
    const surroundings = {
      group: (name: string) => store.findGroup(name),
      folder: (name: string) => store.findFolder(name),
    }
    const completed = completeUser(user, surroundings, options.completion)
    return [
      ...(hash?.kind === 'unusable' ? [`The password cannot be used: ${hash.reason}`] : []),
      ...('problem' in completed ? [completed.problem] : []),
    ]
  }
  const addAddress = async (rule: AddressRule, by: Actor): Promise<void> => {
    const isKnown = options.lists.rules().some((one) => one.from === 'command' && isSameRule(one, rule))
    await options.lists.add(rule)
    await tell(isKnown ? 'update' : 'add', 'ip_list_entry', rule.network, entryOf(rule), by)
  }
  return {
    list: () => store.listUsers({ limit: 1_000_000 }).map(withoutSecrets),
    show(username, complete = false) {
      const user = existing(username)
      const surroundings = {
        group: (name: string) => store.findGroup(name),
        folder: (name: string) => store.findFolder(name),
      }
      const completed = completeUser(user, surroundings, options.completion)
      if ('problem' in completed) return { user: withoutSecrets(user), problem: completed.problem }
      return { user: withoutSecrets(complete ? completed.user : user) }
    },
    async add({ username: typed, password, record = {} }, by) {
      const username = nameMeant(typed, options.namingRules)
      const notAllowed = namingProblem(username, options.namingRules)
      if (notAllowed !== undefined) throw new AccountError('invalid', `The name ${notAllowed}`)
      if (store.findUser(username) !== undefined)
        throw new AccountError('exists', `There is a user "${username}" already`)
      changeable(username)
      const hash = password === undefined ? {} : { password: await hashed(password) }
      const defaults = { status: 1, permissions: { '/': ['*'] }, home_dir: options.homeOf(username) }
      const user = usable({ ...defaults, ...record, ...hash, username })
      return withoutSecrets(
        await put({ ...user, last_password_change: password === undefined ? 0 : now() }, by),
      )
    },
    async set(username, changes, by) {
      const before = existing(username)
      const other = Object.keys(changes).find((path) => Object.hasOwn(otherWays, path))
      if (other !== undefined) throw new AccountError('invalid', `"${other}" ${otherWays[other] ?? ''}`)
      // Sealed before the change, which cannot wait; what else is changed meanwhile stays.
      const wanted = usable({ ...applied(before, changes), username })
      const sealed = await sealSecrets(options.secrets, wanted, before)
      const changed = await change(username, by, (user) =>
        withSecretsOf({ ...usable({ ...applied(user, changes) }), ...kept(user) }, sealed),
      )
      return withoutSecrets(changed)
    },
    async setPassword(username, password, by) {
      existing(username)
      changeable(username)
      const hash = await hashed(password)
      await change(username, by, ({ filters: { require_password_change: _done, ...filters }, ...user }) => ({
        ...{ ...user, filters, password: hash, last_password_change: now() },
      }))
    },
    async addKey(username, line, by) {
      const key = readKey(line)
      await change(username, by, (user) => {
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
      if (!(existing(username).public_keys ?? []).some(isMeant))
        throw new AccountError('not-found', `"${username}" has no such key`)
      await change(username, by, (user) => ({
        ...user,
        public_keys: (user.public_keys ?? []).filter((line) => !isMeant(line)),
      }))
    },
    async addTotp(username, kindName, by) {
      const { filters } = existing(username)
      if (filters.totp_config?.enabled === true)
        throw new AccountError('exists', `"${username}" has a second factor already; remove it first`)
      const kind = options.totpKinds.find(({ name }) => kindName === '' || name === kindName)
      if (kind === undefined)
        throw new AccountError('not-found', `No second factor "${kindName}" stands in mfa.totp`)
      const secret = newTotpSecret()
      const sealed = await options.secrets.seal(secret, username)
      const totp = { enabled: true, config_name: kind.name, secret: sealed, protocols: ['SSH'] }
      await change(username, by, (user) => ({ ...user, filters: { ...user.filters, totp_config: totp } }))
      return { secret, uri: totpUri(username, secret, kind) }
    },
    async removeTotp(username, by) {
      if (existing(username).filters.totp_config === undefined)
        throw new AccountError('not-found', `"${username}" has no second factor`)
      await change(username, by, ({ filters: { totp_config: _gone, ...filters }, ...user }) => ({
        ...{ ...user, filters },
      }))
    },
    async setStatus(username, status, by) {
      await change(username, by, (user) => ({ ...user, status }))
    },
    async remove(username, by) {
      const user = existing(username)
      changeable(username)
      await store.removeUser(username)
      await tell('delete', 'user', username, withoutSecrets(user), by)
    },
    addAddress,
    async removeAddress(rule, by) {
      const note = options.lists.rules().find((one) => isSameRule(one, rule))?.note ?? ''
      if (!(await options.lists.remove(rule))) return false
      await tell('delete', 'ip_list_entry', rule.network, entryOf({ ...rule, note }), by)
      return true
    },
    async importDump(text, { addOnly }, by) {
      const dump = parseDump(text)
      const bad = dump.problems[0]
      if (bad !== undefined && dump.users.length + dump.groups.length + dump.folders.length === 0)
        throw new AccountError('invalid', `This is not a dump of SFTPGo: ${bad}`)
      const folders = await importNamed(dump.folders, async ({ filesystem, ...folder }) => {
        const before = store.findFolder(folder.name)
        await store.putFolder({
          ...folder,
          ...(filesystem !== undefined && {
            filesystem: await sealFilesystem(options.secrets, filesystem, {
              binding: `folder_${folder.name}`,
              before: before?.filesystem,
            }),
          }),
        })
        const shown = { ...folder, ...withoutPassphraseIn({ filesystem }) }
        await tell(before === undefined ? 'add' : 'update', 'folder', folder.name, shown, by)
      })
      const groups = await importNamed(dump.groups, async (group) => {
        const { filesystem, ...settings } = group.user_settings
        const before = store.findGroup(group.name)
        const sealed =
          filesystem === undefined
            ? {}
            : {
                filesystem: await sealFilesystem(options.secrets, filesystem, {
                  binding: `group_${group.name}`,
                  before: before?.user_settings.filesystem,
                }),
              }
        await store.putGroup({ ...group, user_settings: { ...settings, ...sealed } })
        const shown = { ...group, user_settings: { ...settings, ...withoutPassphraseIn({ filesystem }) } }
        await tell(before === undefined ? 'add' : 'update', 'group', group.name, shown, by)
      })
      for (const rule of dump.addressRules) await addAddress(rule, by)
      const users: ImportedUser[] = []
      for (const parsed of dump.users) users.push(await importUser(parsed, addOnly, by))
      return {
        users,
        groups: groups.taken,
        folders: folders.taken,
        addressRules: dump.addressRules.length,
        notCarriedOver: [...dump.dropped, ...folders.problems, ...groups.problems],
      }
    },
  }

  async function importUser(
    parsed: Dump['users'][number],
    addOnly: boolean,
    by: Actor,
  ): Promise<ImportedUser> {
    const { value, problems, dropped } = withoutBadKeys(parsed)
    const report = { username: value.username, notCarriedOver: dropped, warnings: [] }
    if (problems.length > 0) return { ...report, result: 'skipped', problems }
    const before = store.findUser(value.username)
    if (!store.canChange(value.username))
      return { ...report, result: 'skipped', problems: ['is kept in the users file'] }
    if (before !== undefined && addOnly) return { ...report, result: 'kept', problems: [] }
    try {
      const password = value.password === undefined ? {} : { password: await hashed(value.password) }
      const user = await put({ ...value, ...password }, by)
      const result = before === undefined ? 'added' : 'updated'
      return { ...report, result, problems: [], warnings: warningsOf(user) }
    } catch (error) {
      if (!(error instanceof AccountError)) throw error
      return { ...report, result: 'skipped', problems: [error.message] }
    }
  }
}

/** A key that is not accepted stays behind, with the reason; the rest of its user does not have to. */
function withoutBadKeys({ value, problems, dropped }: Dump['users'][number]): Dump['users'][number] {
  const bad = new Map(
    problems.flatMap((problem) => {
      const found = /public_keys\[(\d+)\]: .*$/.exec(problem)
      return found === null ? [] : [[Number(found[1]), found[0]] as const]
    }),
  )
  if (bad.size === 0 || bad.size < problems.length) return { value, problems, dropped }
  const kept = (value.public_keys ?? []).filter((_line, index) => !bad.has(index))
  return { value: { ...value, public_keys: kept }, problems: [], dropped: [...dropped, ...bad.values()] }
}

function isSameRule(one: AddressRule, other: AddressRule): boolean {
  return one.network === other.network && one.list === other.list
}

/** A rule as SFTPGo's object: lists 1 allow and 2 defender, modes 1 allow and 2 deny. */
function entryOf({ network, list, note }: AddressRule): object {
  const [type, mode] = { allow: [1, 1], deny: [2, 2], safe: [2, 1] }[list]
  return { ipornet: network, description: note, type, mode, protocols: 0 }
}

function withoutPassphraseIn({ filesystem }: { readonly filesystem: FilesystemConfig | undefined }): object {
  return filesystem === undefined ? {} : { filesystem: withoutPassphrase(filesystem) }
}

async function importNamed<T extends { readonly name: string }>(
  records: readonly {
    readonly value: T
    readonly problems: readonly string[]
    readonly dropped: readonly string[]
  }[],
  put: (record: T) => Promise<void>,
): Promise<{ readonly taken: string[]; readonly problems: string[] }> {
  const taken: string[] = []
  const problems: string[] = []
  for (const record of records) {
    problems.push(...record.problems, ...record.dropped.map((field) => `"${record.value.name}": ${field}`))
    if (record.problems.length > 0) continue
    await put(record.value)
    taken.push(record.value.name)
  }
  return { taken, problems }
}

function usable(record: unknown): User {
  const { value, problems } = parseUser(record)
  if (problems.length > 0) throw new AccountError('invalid', `This is not a user: ${problems.join('; ')}`)
  return value
}

/** What `set` does not change, and why. */
const otherWays: Readonly<Record<string, string>> = {
  password: 'is changed by "user passwd"',
  public_keys: 'are changed by "user key add" and "user key remove"',
  ...{ id: 'never changes', username: 'never changes', created_at: 'never changes' },
}

/** The same fields, as they are. */
function kept({ id, username, created_at, password, public_keys: keys }: User): Partial<User> {
  return {
    ...{ id, username, created_at },
    ...(password !== undefined && { password }),
    ...(keys !== undefined && { public_keys: keys }),
  }
}

/** `user` with each change at its path; an unknown first word is refused. */
function applied(user: User, changes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  // A copy as plain JSON, which is what the parser reads afterwards.
  const copy = JSON.parse(JSON.stringify(user)) as Record<string, unknown>
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.startsWith('permissions./')
      ? ['permissions', path.slice('permissions.'.length)]
      : path.split('.')
    if (keys.some((key) => key === '' || key === '__proto__' || key === 'constructor'))
      throw new AccountError('invalid', `"${path}" is not a field`)
    let place = copy
    for (const key of keys.slice(0, -1)) {
      const inner = Object.hasOwn(place, key) ? place[key] : undefined
      const next = typeof inner === 'object' && inner !== null ? inner : {}
      place[key] = next
      place = next as Record<string, unknown> // an object, as just made sure
    }
    const last = keys.at(-1) ?? ''
    if (value === null) delete place[last]
    else place[last] = value
  }
  const { dropped } = parseUser(copy)
  if (dropped.length > 0)
    throw new AccountError('invalid', `Not a field that is supported: ${dropped.join('; ')}`)
  return copy
}

function readKey(line: string): ReturnType<typeof parseAuthorizedKey> {
  try {
    return parseAuthorizedKey(line)
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    throw new AccountError('invalid', error.message, { cause: error })
  }
}
