import type { StoredSecret } from '../secrets/secret.ts'
import { AccountError } from './account-error.ts'
import { sealPlain, type SecretBox } from './secret-box.ts'
import type { FilesystemConfig, User } from './user.ts'

/** `user` with secrets in clear sealed; a placeholder means what is stored in `before`. */
export async function sealSecrets(box: SecretBox, user: User, before: User | undefined): Promise<User> {
  const { totp_config: totp } = user.filters
  const filesystem = await sealFilesystem(box, user.filesystem, {
    binding: user.username,
    before: before?.filesystem,
  })
  if (totp?.secret === undefined) return { ...user, filesystem }
  const secret = await sealed(box, totp.secret, {
    binding: user.username,
    before: before?.filters.totp_config?.secret,
  })
  return { ...user, filesystem, filters: { ...user.filters, totp_config: { ...totp, secret } } }
}

/** `filesystem` with its passphrase sealed. */
export async function sealFilesystem(
  box: SecretBox,
  filesystem: FilesystemConfig,
  { binding, before }: { readonly binding: string; readonly before: FilesystemConfig | undefined },
): Promise<FilesystemConfig> {
  const passphrase = filesystem.cryptconfig?.passphrase
  if (passphrase === undefined) return filesystem
  const stored = before?.cryptconfig?.passphrase
  return {
    ...filesystem,
    cryptconfig: { passphrase: await sealed(box, passphrase, { binding, before: stored }) },
  }
}

/** `user` with the sealed secrets of `from` in the place of clear ones and placeholders. */
export function withSecretsOf(user: User, from: User): User {
  const passphrase = chosen(user.filesystem.cryptconfig?.passphrase, from.filesystem.cryptconfig?.passphrase)
  const { totp_config: totp } = user.filters
  const secret = chosen(totp?.secret, from.filters.totp_config?.secret)
  return {
    ...user,
    ...(passphrase !== undefined && { filesystem: { ...user.filesystem, cryptconfig: { passphrase } } }),
    ...(secret !== undefined && {
      filters: { ...user.filters, totp_config: { ...totp, secret } },
    }),
  }
}

function chosen(own: StoredSecret | undefined, other: StoredSecret | undefined): StoredSecret | undefined {
  return own?.status === 'Plain' || own?.status === 'Redacted' ? other : own
}

async function sealed(
  box: SecretBox,
  secret: StoredSecret,
  { binding, before }: { readonly binding: string; readonly before: StoredSecret | undefined },
): Promise<StoredSecret> {
  if (secret.status !== 'Redacted') return sealPlain(box, secret, binding)
  if (before === undefined) throw new AccountError('invalid', 'A secret is redacted and none is stored')
  return before
}
