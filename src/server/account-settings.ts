import { dirname, isAbsolute, join } from 'node:path'
import { defenderDefaults } from '../accounts/defender.ts'
import type { AccountsOptions } from '../accounts/open-accounts.ts'
import type { Config } from '../config/load-config.ts'
import { defaultHostKeys, stateLayout } from './state-layout.ts'

type FromSettings = Pick<
  AccountsOptions,
  | 'login'
  | 'passwords'
  | 'totpKinds'
  | 'defender'
  | 'rateLimiters'
  | 'lists'
  | 'onlyAllowed'
  | 'usersFile'
  | 'trustedAuthorities'
  | 'revokedFile'
>

/**
 * Below this, somebody who asks about one name after another (not all in turn) could tell a store that verifies
 * slowly: the interval of refusals follows the slowest of the last minutes.
 */
const leastPasswordDelayMs = 250

/** The settings of `common`, `sftpd`, `data_provider` and `mfa` as accounts take them. */
export function accountSettings(config: Config): FromSettings {
  const { common, sftpd, data_provider: provider, mfa } = config.settings
  const { defender } = common
  const { argon2_options: argon2, bcrypt_options: bcrypt, algo } = provider.password_hashing
  const layout = stateLayout(config)
  return {
    login: {
      passwordAuthentication: sftpd.password_authentication,
      keyboardInteractive: sftpd.keyboard_interactive_authentication,
      failedPasswordDelayMs: Math.max(leastPasswordDelayMs, defender.login_delay.password_failed),
      successDelayMs: defender.login_delay.success,
      sha1: sftpd.profile === 'legacy' || sftpd.public_key_algorithms.includes('ssh-rsa'),
      ...(sftpd.public_key_algorithms.length > 0 && { keyAlgorithms: sftpd.public_key_algorithms }),
      usersBaseDir: provider.users_base_dir,
      // Homes lie in the state folder by default; everything beside them there is the server's own.
      protectedDirectories: [
        ...[layout.plugins, layout.packages, dirname(layout.database)],
        ...[join(config.folder, 'certs'), join(config.folder, 'env.d')],
      ].filter((directory) => !layout.homes.startsWith(`${directory}/`)),
      protectedFiles: ownFiles(config),
      namingRules: provider.naming_rules,
      localTime: common.tz === 'local',
      totp: Object.fromEntries(mfa.totp.map(({ name, algo: hash }) => [name, hash])),
    },
    passwords: {
      algorithm: algo,
      bcryptCost: bcrypt.cost,
      argon2: { memory: argon2.memory, iterations: argon2.iterations, parallelism: argon2.parallelism },
      minEntropy: provider.password_validation.users.min_entropy,
      ...(provider.password_caching ? {} : { remembered: 0 }),
    },
    totpKinds: mfa.totp.map(({ name, issuer, algo: algorithm }) => ({ name, issuer, algorithm })),
    // Switched off, nothing is scored; bans made by hand hold all the same.
    defender: {
      scores: {
        invalid: defender.enabled ? defender.score_invalid : 0,
        valid: defender.enabled ? defender.score_valid : 0,
        'limit-exceeded': defender.enabled ? defender.score_limit_exceeded : 0,
        'no-auth': defender.enabled ? defender.score_no_auth : 0,
      },
      threshold: defender.threshold,
      observationMs: defender.observation_time * 60_000,
      banMs: defender.ban_time * 60_000,
      banIncrement: defender.ban_time_increment,
      // SFTPGo's default of 150 would let anyone with 150 addresses wash a ban away.
      mostHosts: Math.max(defender.entries_hard_limit, defenderDefaults.mostHosts),
    },
    rateLimiters: common.rate_limiters
      .filter(({ protocols, average }) => protocols.includes('SSH') && average > 0)
      .map((limiter) => ({
        average: limiter.average,
        periodMs: limiter.period,
        burst: limiter.burst,
        per: limiter.type === 1 ? 'server' : 'address',
        mostSources: Math.max(limiter.entries_hard_limit, 10_000),
        scores: limiter.generate_defender_events,
      })),
    lists: { allow: common.allow_list, deny: common.deny_list, safe: defender.safe_list },
    onlyAllowed: common.allowlist_status === 1,
    usersFile: provider.users_file,
    trustedAuthorities: sftpd.trusted_user_ca_keys,
    revokedFile: sftpd.revoked_user_certs_file,
  }
}

/** Files whose content the server follows: whoever could write one would be the server (S-49). */
function ownFiles(config: Config): string[] {
  const { sftpd, data_provider: provider, plugins } = config.settings
  const { database, control, packageLock } = stateLayout(config)
  return [
    ...[config.file, packageLock, database, control, provider.users_file, sftpd.revoked_user_certs_file],
    ...[...sftpd.trusted_user_ca_keys, ...sftpd.host_keys, ...defaultHostKeys(config)],
    ...plugins.map(({ cmd }) => cmd ?? ''),
  ].filter((path) => isAbsolute(path))
}
