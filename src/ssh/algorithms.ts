import { ConfigError } from '../base/errors.ts'
import { hybridName } from './post-quantum.ts'

/** How wide the offer is: `modern` for everybody, `strict` with nothing but post-quantum exchanges, `legacy` for old clients. */
export type AlgorithmProfile = 'modern' | 'strict' | 'legacy'

/** What an administrator may say about algorithms; an absent list means the profile's. */
export interface AlgorithmSettings {
  readonly profile?: AlgorithmProfile
  readonly ciphers?: readonly string[]
  readonly macs?: readonly string[]
  readonly kexAlgorithms?: readonly string[]
  readonly hostKeyAlgorithms?: readonly string[]
  readonly publicKeyAlgorithms?: readonly string[]
}

/** What is offered, in order. The client's order decides; ours only says what there is. */
export interface AlgorithmChoice {
  readonly ciphers: readonly string[]
  readonly macs: readonly string[]
  readonly kex: readonly string[]
  readonly hostKeyAlgorithms: readonly string[]
  /** Signatures of users that are taken, certificates included. */
  readonly publicKeyAlgorithms: readonly string[]
}

/** The offer of a profile with an administrator's lists in place of its own. Throws a `ConfigError` for an unknown name. */
export function chooseAlgorithms(settings: AlgorithmSettings): AlgorithmChoice {
  const own = profiles[settings.profile ?? 'modern']
  return {
    ciphers: checked('ciphers', settings.ciphers, own.ciphers, profiles.legacy.ciphers),
    macs: checked('macs', settings.macs, own.macs, profiles.legacy.macs),
    kex: checked('kex_algorithms', settings.kexAlgorithms, own.kex, profiles.legacy.kex),
    hostKeyAlgorithms: checked(
      'host_key_algorithms',
      settings.hostKeyAlgorithms,
      own.hostKeyAlgorithms,
      profiles.legacy.hostKeyAlgorithms,
    ),
    publicKeyAlgorithms: checked(
      'public_key_algorithms',
      settings.publicKeyAlgorithms,
      own.publicKeyAlgorithms,
      profiles.legacy.publicKeyAlgorithms,
    ),
  }
}

const modern: AlgorithmChoice = {
  kex: [hybridName, 'curve25519-sha256', 'curve25519-sha256@libssh.org'],
  // AES in hardware is faster than ChaCha20, which stays for machines without it: their clients ask for it first.
  ciphers: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes128-ctr',
    'aes192-ctr',
    'aes256-ctr',
  ],
  macs: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'],
  hostKeyAlgorithms: ['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256'],
  publicKeyAlgorithms: [
    'ssh-ed25519',
    'sk-ssh-ed25519@openssh.com',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'sk-ecdsa-sha2-nistp256@openssh.com',
    'rsa-sha2-512',
    'rsa-sha2-256',
    'ssh-ed25519-cert-v01@openssh.com',
    'sk-ssh-ed25519-cert-v01@openssh.com',
    'ecdsa-sha2-nistp256-cert-v01@openssh.com',
    'ecdsa-sha2-nistp384-cert-v01@openssh.com',
    'ecdsa-sha2-nistp521-cert-v01@openssh.com',
    'sk-ecdsa-sha2-nistp256-cert-v01@openssh.com',
    'rsa-sha2-512-cert-v01@openssh.com',
    'rsa-sha2-256-cert-v01@openssh.com',
  ],
}

const profiles: Readonly<Record<AlgorithmProfile, AlgorithmChoice>> = {
  modern,
  strict: { ...modern, kex: [hybridName] },
  legacy: {
    kex: [
      ...modern.kex,
      'ecdh-sha2-nistp256',
      'ecdh-sha2-nistp384',
      'ecdh-sha2-nistp521',
      'diffie-hellman-group16-sha512',
      'diffie-hellman-group14-sha256',
      'diffie-hellman-group14-sha1',
    ],
    ciphers: [...modern.ciphers, 'aes256-cbc', 'aes192-cbc', 'aes128-cbc', '3des-cbc'],
    macs: [...modern.macs, 'hmac-sha2-256', 'hmac-sha2-512', 'hmac-sha1-etm@openssh.com', 'hmac-sha1'],
    hostKeyAlgorithms: [
      ...modern.hostKeyAlgorithms,
      'ecdsa-sha2-nistp256',
      'ecdsa-sha2-nistp384',
      'ecdsa-sha2-nistp521',
      'ssh-rsa',
    ],
    publicKeyAlgorithms: [...modern.publicKeyAlgorithms, 'ssh-rsa', 'ssh-rsa-cert-v01@openssh.com'],
  },
}

function checked(
  setting: string,
  given: readonly string[] | undefined,
  own: readonly string[],
  known: readonly string[],
): readonly string[] {
  if (given === undefined || given.length === 0) return own
  const names = given.map((name) => name.trim())
  for (const name of names) {
    if (known.includes(name)) continue
    const why = name.includes('group-exchange')
      ? 'group exchange is not offered'
      : 'there is no such algorithm'
    throw new ConfigError(
      'out-of-range',
      `Cannot use "${name}" in sftpd.${setting}: ${why}. Known are ${known.join(', ')}`,
    )
  }
  return [...new Set(names)]
}
