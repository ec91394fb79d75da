import type { UserRecord } from '../slots/auth/contract.ts'
import type { FilesystemConfig, User } from './user.ts'

/** Stands where a hash or a secret would; when it comes back, what is stored stays. */
export const placeholder = '[**redacted**]'

/**
 * The stored user as a plugin is shown it: SFTPGo's object with hashes and sealed secrets replaced (`default`), as
 * it is (`full`), or number and name alone (`minimal`). Nobody is number 0 with the name.
 */
export function questionRecord(
  user: User | undefined,
  username: string,
  detail: 'default' | 'full' | 'minimal',
): UserRecord {
  if (user === undefined) return { id: 0, username }
  if (detail === 'minimal') return { id: user.id, username: user.username }
  return { ...(detail === 'full' ? user : withoutSecrets(user)) }
}

/** The password a dialogue step carries: SFTPGo sends the stored hash. */
export function dialoguePassword(user: User | undefined, detail: 'default' | 'full' | 'minimal'): string {
  const stored = user?.password ?? ''
  if (detail === 'minimal' || stored === '') return ''
  return detail === 'full' ? stored : placeholder
}

/** The user with everything confidential replaced; what is empty stays empty. Also what commands and events show. */
export function withoutSecrets(user: User): User {
  return {
    ...user,
    ...(user.password !== undefined && { password: placeholder }),
    filters: {
      ...user.filters,
      ...(user.filters.totp_config?.secret !== undefined && {
        totp_config: { ...user.filters.totp_config, secret: { status: 'Redacted' } },
      }),
    },
    filesystem: withoutPassphrase(user.filesystem),
  }
}

/** Where bytes live, without the passphrase that opens them. */
export function withoutPassphrase(filesystem: FilesystemConfig): FilesystemConfig {
  if (filesystem.cryptconfig?.passphrase === undefined) return filesystem
  return { ...filesystem, cryptconfig: { passphrase: { status: 'Redacted' } } }
}
