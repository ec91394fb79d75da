import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { Admission } from './admission.ts'
import type { ConfiguredAuthenticator } from './authenticators.ts'
import type { CompletionOptions } from './complete-user.ts'
import type { OneTimeCodes } from './one-time-codes.ts'
import type { LastLogins } from './last-logins.ts'
import type { Passwords } from './password.ts'
import type { SecretBox } from './secret-box.ts'
import type { Stories } from './story.ts'
import type { TotpAlgorithm } from './totp.ts'
import type { User } from './user.ts'
import type { UserStore } from './user-store.ts'

/** What the decision about logins stands on. */
export interface LoginOptions {
  readonly store: UserStore
  readonly lastLogins: Pick<LastLogins, 'note'>
  readonly passwords: Passwords
  readonly codes: OneTimeCodes
  readonly admission: Admission
  /** The auth plugins in their order; asked each time, so that a reload takes effect at the next login. */
  readonly authenticators: () => readonly ConfiguredAuthenticator[]
  readonly secrets: SecretBox
  /** Where logins are told; `EventLog` of `events` fits. */
  readonly events: LoginEvents
  /** Trusted authorities and revoked keys by fingerprint; asked each time. */
  readonly certificates: () => CertificateLists
  /** How many sessions a user has now. */
  readonly sessionsOf: (username: string) => number
  /** Hears who came in, as the session sees them, and whether the store has them. */
  readonly granted?: (user: User, stored: boolean) => void
  readonly stories: Stories
  readonly settings: LoginSettings
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/** Fingerprints that certificates are held against. */
export interface CertificateLists {
  readonly authorities: ReadonlySet<string>
  readonly revoked: ReadonlySet<string>
}

/** The part of the event log that logins use. */
export interface LoginEvents {
  recordLog(event: LoginEvent): void
}

/** 1 login failed, 2 unknown user, 5 login succeeded; connections without a login are told by `ssh`. */
export interface LoginEvent {
  readonly kind: 'log'
  readonly event: 1 | 2 | 5
  readonly username: string
  readonly protocol: string
  readonly address: string
  readonly message: string
}

/** Settings of logins. */
export interface LoginSettings extends CompletionOptions {
  readonly passwordAuthentication: boolean
  readonly keyboardInteractive: boolean
  /** Milliseconds before a refused password is answered, at least. SFTPGo's `password_failed`, default 1000. */
  readonly failedPasswordDelayMs: number
  /** Milliseconds before a granted login is answered. Default 0. */
  readonly successDelayMs?: number
  /** SFTPGo's bits: see `namingRules`. Default: any characters, as typed. */
  readonly namingRules?: number
  /** RSA signatures with SHA-1. Default no. */
  readonly sha1?: boolean
  /** Algorithms accepted for key logins; default: all that are known. */
  readonly keyAlgorithms?: readonly string[]
  /** Second factors by their configured name. Unknown names mean sha1. */
  readonly totp?: Readonly<Record<string, TotpAlgorithm>>
  /** Access times are meant in local time. Default UTC. */
  readonly localTime?: boolean
  /** Longest time a login waits for plugins in all. Default 30 s. */
  readonly pluginTimeoutMs?: number
}
