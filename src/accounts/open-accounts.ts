import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import { Scope } from '../base/scope.ts'
import type { Database } from '../database/open-database.ts'
import { createAccountChanges, type AccountEvents } from './account-changes.ts'
import { createAddressLists, type AddressLists, type ConfiguredLists } from './address-lists.ts'
import { createAdmission, type ConfiguredFilter, type ScoredLimiter } from './admission.ts'
import type { ConfiguredAuthenticator } from './authenticators.ts'
import { readCertificateFiles } from './certificate-files.ts'
import { createDatabaseUserStore } from './database-user-store.ts'
import { createDefender, noDefender, type Defender, type DefenderOptions } from './defender.ts'
import { openFileUserStore, type FileUserStore } from './file-user-store.ts'
import { layerUserStores } from './layered-user-store.ts'
import type { LoginAuthority } from './login-conversation.ts'
import type { CertificateLists, LoginEvents, LoginSettings } from './login-options.ts'
import { createLastLogins } from './last-logins.ts'
import { createLoginAuthority } from './login.ts'
import { createDumpImporter } from './import-dump.ts'
import { createAddressManager } from './manage-addresses.ts'
import { createUserManager, type UserManager } from './manage-users.ts'
import { createAccountOperations, type AccountOperations } from './operations.ts'
import { createOneTimeCodes } from './one-time-codes.ts'
import { createPasswords, type PasswordOptions, type Passwords } from './password.ts'
import { createRateLimiter, type RateLimiterOptions } from './rate-limiter.ts'
import type { SecretBox } from './secret-box.ts'
import { guardSessions, type LiveSessions, type SessionGuard } from './session-guard.ts'
import { createStories, type Stories } from './story.ts'
import type { TotpKind } from './totp.ts'
import { createUsageCounters, type UsageCounters } from './usage-counters.ts'
import { createUsage, type Usage } from './usage.ts'
import type { UserStore } from './user-store.ts'
import { namingRules } from './username.ts'

/** Everything about accounts, joined: what `server` and the commands open. */
export interface Accounts {
  readonly authority: LoginAuthority
  readonly store: UserStore
  readonly manager: UserManager
  readonly operations: AccountOperations
  readonly passwords: Passwords
  readonly stories: Stories
  readonly defender: Defender
  readonly lists: AddressLists
  readonly usage: Usage
  /** Whether a user was ever stored here, also one that has been removed. */
  hadUsers(): boolean
  /** What `files` counts with. */
  readonly counters: UsageCounters
  /** From now on sessions are counted, listed, and ended when their accounts end. Called once, when the server listens. */
  attachSessions(sessions: LiveSessions): void
  /**
   * Reads the users file and the certificate files again, the latter where they are now said to lie, and takes over who
   * may connect. Throws a `ConfigError` or a `RangeError`; what held before stays.
   */
  reload(next?: ReloadedSettings): void
  /** Takes over settings that need no restart. */
  applySettings(settings: LoginSettings): void
  close(): Promise<void>
}

/** Where the lists about user certificates lie. */
export interface CertificateFiles {
  readonly trustedAuthorities?: readonly string[]
  readonly revokedFile?: string
}

/** Settings that a reload takes over. */
export interface ReloadedSettings extends CertificateFiles {
  /** Left out: nobody is scored. */
  readonly defender?: Omit<DefenderOptions, 'isSafe'>
  readonly rateLimiters?: readonly (Omit<RateLimiterOptions, 'isSafe'> & { readonly scores: boolean })[]
  readonly lists?: ConfiguredLists
  /** SFTPGo's `allowlist_status`. */
  readonly onlyAllowed?: boolean
}

/** What accounts are opened with. */
export interface AccountsOptions extends ReloadedSettings {
  readonly database: Database
  readonly secrets: SecretBox
  readonly events: LoginEvents & AccountEvents
  readonly login: LoginSettings
  readonly passwords?: PasswordOptions
  /** Kinds of second factors that commands can give, the usual one first. Default: one called `Default`. */
  readonly totpKinds?: readonly TotpKind[]
  /** SFTPGo's `users_file`; empty: none. */
  readonly usersFile?: string
  readonly authenticators?: () => readonly ConfiguredAuthenticator[]
  readonly filters?: () => readonly ConfiguredFilter[]
  /** Where homes lie for users that commands make without one. */
  readonly homeOf: (username: string) => string
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/** Opens accounts over the database. Throws a `ConfigError` for files and lists that cannot be used. */
export function openAccounts(options: AccountsOptions): Accounts {
  const { database, clock, log, meter } = options
  const scope = new Scope()
  const now = (): number => clock.now()
  const usage = createUsage(database, now)
  const { store, file } = openStore(options, usage)
  scope.own(store)
  const passwords = scope.own(createPasswords(options.passwords))
  const stories = createStories({ clock })
  const lists = createAddressLists(database, options.lists ?? {}, now)
  const isSafe = (address: string): boolean => lists.isIn('safe', address)
  const defender =
    options.defender === undefined
      ? noDefender
      : scope.own(createDefender({ ...options.defender, isSafe }, { database, clock, log }))
  const limitersOf = ({ rateLimiters = [] }: ReloadedSettings): readonly ScoredLimiter[] =>
    rateLimiters.map(({ scores, ...limiter }) => ({
      limiter: createRateLimiter({ ...limiter, isSafe }, clock),
      scores,
    }))
  let inForce: ReloadedSettings = options
  let limiters = limitersOf(inForce)
  const admission = createAdmission({
    ...{ lists, defender, clock, log, meter },
    filters: options.filters ?? (() => []),
    get limiters() {
      return limiters
    },
    get onlyAllowed() {
      return inForce.onlyAllowed === true
    },
  })
  let certificates = readLists(inForce)
  let settings = options.login
  let sessions: LiveSessions | undefined
  let guard: SessionGuard | undefined
  const authority = createLoginAuthority({
    ...{ store, passwords, admission, stories, clock, log, meter },
    lastLogins: scope.own(createLastLogins(store, clock)),
    codes: createOneTimeCodes(database, clock),
    secrets: options.secrets,
    events: options.events,
    authenticators: options.authenticators ?? (() => []),
    certificates: () => certificates,
    sessionsOf: (username) => sessions?.sessionsOf(username) ?? 0,
    granted: (user, isStored) => guard?.granted(user, isStored),
    get settings() {
      return settings
    },
  })
  scope.own(authority)
  const counters = scope.own(createUsageCounters(usage, clock, log))
  const { secrets, events, login: completion } = options
  const changes = createAccountChanges({ store, passwords, secrets, events })
  const addresses = createAddressManager(lists, changes)
  const importDump = createDumpImporter({ store, secrets, completion, changes, addresses })
  const manager = createUserManager({
    ...{ store, secrets, changes, completion, now },
    homeOf: options.homeOf,
    namingRules: options.login.namingRules ?? namingRules.anyCharacters,
    totpKinds: options.totpKinds ?? [{ name: 'Default', issuer: 'sftpgo-ts', algorithm: 'sha1' }],
  })
  return {
    ...{ authority, store, manager, passwords, stories, defender, lists, usage, counters },
    operations: createAccountOperations({
      ...{ manager, addresses, importDump, lists, defender, stories },
      sessions: () => sessions,
    }),
    // SQLite remembers the highest number it ever gave to a row.
    hadUsers: () =>
      database.query("select seq from sqlite_sequence where name = 'account_user'").get() !== undefined,
    attachSessions(live) {
      sessions = live
      const localTime = settings.localTime === true
      guard = scope.own(
        guardSessions({ store, sessions: live, completion: options.login, clock, log, localTime }),
      )
    },
    reload(next = inForce) {
      const read = readLists(next)
      lists.configure(next.lists ?? {})
      file?.reload()
      certificates = read
      if (next.defender !== undefined) defender.configure(next.defender)
      // What a limiter has counted is kept where nothing changed.
      if (JSON.stringify(next.rateLimiters) !== JSON.stringify(inForce.rateLimiters))
        limiters = limitersOf(next)
      inForce = next
    },
    applySettings(next) {
      settings = next
    },
    close: () => scope.close(),
  }
}

function readLists({ trustedAuthorities = [], revokedFile = '' }: CertificateFiles): CertificateLists {
  return readCertificateFiles(trustedAuthorities, revokedFile)
}

function openStore(
  { database, usersFile = '', clock, log }: AccountsOptions,
  usage: Usage,
): { readonly store: UserStore; readonly file: FileUserStore | undefined } {
  const stored = createDatabaseUserStore({ database, usage, now: () => clock.now() })
  if (usersFile === '') return { store: stored, file: undefined }
  const file = openFileUserStore({ path: usersFile, usage, log })
  return { store: layerUserStores(file, stored), file }
}
