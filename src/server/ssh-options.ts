import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config/load-config.ts'
import { millisecondsOf } from '../config/units.ts'
import type { SshServerOptions } from '../ssh/ssh-server.ts'

type FromSettings = Omit<SshServerOptions, 'authority' | 'serve' | 'log' | 'clock' | 'events'>

/** The settings of `common` and `sftpd` as the SSH server takes them. */
export function sshOptions(
  { settings, folder }: Config,
  options: { readonly loopbackOnly: boolean },
): FromSettings {
  const { common, sftpd } = settings
  const ownBanner = sftpd.login_banner_file === '' ? '' : readFileSync(sftpd.login_banner_file, 'utf8')
  const banner = options.loopbackOnly ? `${developmentBanner}${ownBanner}` : ownBanner
  return {
    bindings: sftpd.bindings.map(({ port, address, apply_proxy_config: applyProxy }) => ({
      port,
      address: options.loopbackOnly ? '127.0.0.1' : address,
      applyProxy,
    })),
    hostKeys: { files: sftpd.host_keys, folder: join(folder, 'certs') },
    algorithms: {
      profile: sftpd.profile,
      ...listed('ciphers', sftpd.ciphers),
      ...listed('macs', sftpd.macs),
      ...listed('kexAlgorithms', sftpd.kex_algorithms),
      ...listed('publicKeyAlgorithms', sftpd.public_key_algorithms),
    },
    ...(common.server_version === 'short' ? { software: 'SFTPGoTS' } : {}),
    ...(banner === '' ? {} : { banner }),
    maxAuthTries: sftpd.max_auth_tries,
    passwordAllowed: sftpd.password_authentication,
    keyboardInteractiveAllowed: sftpd.keyboard_interactive_authentication,
    loginGraceMs: millisecondsOf(sftpd.login_grace_time),
    idleMs: common.idle_timeout * 60_000,
    keepaliveMs: millisecondsOf(sftpd.keepalive_interval),
    maxTotal: common.max_total_connections,
    maxPerAddress: common.max_per_host_connections,
    proxy: { mode: common.proxy_protocol, allowed: common.proxy_allowed, skipped: common.proxy_skipped },
  }
}

/** At every login: a server that runs unverified plugins is nobody's real one. */
const developmentBanner = 'DEVELOPMENT ONLY: this server runs plugins that nobody verified\n'

/** An empty list of the configuration means the profile's own. */
function listed<Name extends string>(
  name: Name,
  list: readonly string[],
): Partial<Record<Name, readonly string[]>> {
  // The one key has the name that was handed in.
  return list.length === 0 ? {} : ({ [name]: list } as Partial<Record<Name, readonly string[]>>)
}
