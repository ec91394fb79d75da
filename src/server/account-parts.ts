import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Admission, type ConfiguredFilter, createAdmission } from '../accounts/admission.ts'
import { type AddressLists, createAddressLists } from '../accounts/address-lists.ts'
import { createDatabaseUserStore } from '../accounts/database-user-store.ts'
import { type Defender, createDefender } from '../accounts/defender.ts'
import { openFileUserStore } from '../accounts/file-user-store.ts'
import { layerUserStores } from '../accounts/layered-user-store.ts'
import type { CertificateLists, LoginSettings } from '../accounts/login-options.ts'
import { type Passwords, createPasswords } from '../accounts/password.ts'
import { parseAuthorizedKey } from '../accounts/public-key.ts'
import { createRateLimiter } from '../accounts/rate-limiter.ts'
import { type Usage, createUsage } from '../accounts/usage.ts'
import type { UserStore } from '../accounts/user-store.ts'
import type { Clock } from '../base/clock.ts'
import { ConfigError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { Scope } from '../base/scope.ts'
import type { Config } from '../config/load-config.ts'
import type { Database } from '../database/open-database.ts'
import type { Settings } from '../gen/settings.ts'
import { stateLayout } from './state-layout.ts'

/** What the accounts wing needs of the rest. */
export interface AccountSurroundings {
  readonly config: Config
  readonly database: Database
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/** Accounts and what guards them. */
export interface AccountParts {
  readonly usage: Usage
  readonly store: UserStore
  readonly passwords: Passwords
}

/** Opens the accounts of a configuration. */
export function openAccounts(
  { config, database, clock, log }: AccountSurroundings,
  scope: Scope,
): AccountParts {
  const { data_provider: provider } = config.settings
  const now = (): number => clock.now()
  const usage = createUsage(database, now)
  const stored = createDatabaseUserStore({ database, usage, now })
  const path = provider.users_file
  const store = scope.own(
    path === '' ? stored : layerUserStores(openFileUserStore({ path, usage, log }), stored),
  )
  const { password_hashing: hashing, password_validation: validation } = provider
  const passwords = scope.own(
    createPasswords({
      algorithm: hashing.algo,
      argon2: hashing.argon2_options,
      bcryptCost: hashing.bcrypt_options.cost,
      minEntropy: validation.users.min_entropy,
      ...(provider.password_caching ? {} : { remembered: 0 }),
    }),
  )
  return { usage, store, passwords }
}

/** What decides which addresses may connect. */
export interface AdmissionParts {
  readonly admission: Admission
  readonly lists: AddressLists
  readonly defender: Defender
}

/** Opens the address check of a configuration. */
export function openAdmission(
  { config, database, clock, log, meter }: AccountSurroundings,
  filters: () => readonly ConfiguredFilter[],
): AdmissionParts {
  const { common } = config.settings
  const lists = createAddressLists(
    database,
    { allow: common.allow_list, deny: common.deny_list, safe: common.defender.safe_list },
    () => clock.now(),
  )
  const isSafe = (address: string): boolean => lists.isIn('safe', address)
  const defender = createDefender(defenderOptions(common.defender, isSafe), { database, clock, log })
  const limiters = common.rate_limiters
    .filter(({ average, protocols }) => average > 0 && protocols.includes('SSH'))
    .map((limiter) => ({
      scores: limiter.generate_defender_events && common.defender.enabled,
      limiter: createRateLimiter(
        {
          average: limiter.average,
          periodMs: limiter.period,
          burst: limiter.burst,
          per: limiter.type === 2 ? 'address' : 'server',
          mostSources: Math.max(limiter.entries_hard_limit, 10_000),
          isSafe,
        },
        clock,
      ),
    }))
  const onlyAllowed = common.allowlist_status === 1
  return {
    lists,
    defender,
    admission: createAdmission({ filters, lists, onlyAllowed, defender, limiters, clock, log, meter }),
  }
}

function defenderOptions(settings: Settings['common']['defender'], isSafe: (address: string) => boolean) {
  // Switched off, it still keeps bans made by hand, and no score reaches its threshold.
  const threshold = settings.enabled ? settings.threshold : Number.POSITIVE_INFINITY
  return {
    scores: {
      invalid: settings.score_invalid,
      valid: settings.score_valid,
      'limit-exceeded': settings.score_limit_exceeded,
      'no-auth': settings.score_no_auth,
    },
    threshold,
    observationMs: settings.observation_time * 60_000,
    banMs: settings.ban_time * 60_000,
    banIncrement: settings.ban_time_increment,
    // SFTPGo's limits of 100 and 150 let a flood of addresses push a banned one out; ours are a floor.
    mostHosts: Math.max(settings.entries_hard_limit, 10_000),
    isSafe,
  }
}

/** The settings of logins. */
export function loginSettings(config: Config): LoginSettings {
  const { common, sftpd, mfa } = config.settings
  const layout = stateLayout(config)
  return {
    usersBaseDir: layout.homes,
    protectedDirectories: [
      join(config.folder, 'certs'),
      join(config.folder, 'env.d'),
      layout.plugins,
      layout.packages,
      ...sftpd.host_keys,
    ],
    passwordAuthentication: sftpd.password_authentication,
    keyboardInteractive: sftpd.keyboard_interactive_authentication,
    failedPasswordDelayMs: common.defender.login_delay.password_failed,
    successDelayMs: common.defender.login_delay.success,
    sha1: sftpd.public_key_algorithms.includes('ssh-rsa'),
    ...(sftpd.public_key_algorithms.length > 0 ? { keyAlgorithms: sftpd.public_key_algorithms } : {}),
    totp: Object.fromEntries(mfa.totp.map(({ name, algo }) => [name, algo])),
  }
}

/** The lists in force; a reload exchanges them. */
export interface CertificateHolder {
  lists: CertificateLists
}

const largestRevokedList = 5 * 1024 * 1024

/** Reads the authorities and revoked keys that user certificates are held against. Throws `ConfigError`. */
export function readCertificateLists({ sftpd }: Settings): CertificateLists {
  return {
    authorities: new Set(sftpd.trusted_user_ca_keys.flatMap(authoritiesIn)),
    revoked: new Set(sftpd.revoked_user_certs_file === '' ? [] : revokedIn(sftpd.revoked_user_certs_file)),
  }
}

function authoritiesIn(file: string): string[] {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line) => {
    try {
      return parseAuthorizedKey(line).fingerprint
    } catch (error) {
      throw new ConfigError('file-unreadable', `Cannot use "${file}": ${messageOf(error)}`, { cause: error })
    }
  })
}

function revokedIn(file: string): string[] {
  try {
    const text = readFileSync(file, 'utf8')
    if (text.length > largestRevokedList) throw new Error('it is larger than 5 MiB')
    const list: unknown = JSON.parse(text)
    if (Array.isArray(list) && list.every((item): item is string => typeof item === 'string')) return list
    throw new Error('it is not a list of fingerprints')
  } catch (error) {
    throw new ConfigError('file-unreadable', `Cannot use "${file}": ${messageOf(error)}`, { cause: error })
  }
}
