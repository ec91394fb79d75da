import type { StoredSecret } from '../secrets/secret.ts'
import type { GrantedUser } from '../slots/auth/contract.ts'
import { isInside } from './complete-user.ts'
import { looksHashed } from './password-hash.ts'
import { parseUser } from './parse-user.ts'
import { placeholder } from './plugin-question.ts'
import type { User } from './user.ts'

/** What a plugin's answer is held against. */
export interface AnswerContext {
  /** The name that was asked about. */
  readonly username: string
  readonly stored: User | undefined
  readonly usersBaseDir?: string
}

/** The user that a plugin's answer makes, not yet completed; or why the answer is refused. */
export type AppliedAnswer =
  { readonly user: User; readonly dropped: readonly string[] } | { readonly problem: string }

/** Fields that stay as stored whatever a plugin says, as in SFTPGo. */
const kept = [
  ...(['id', 'used_quota_size', 'used_quota_files', 'last_quota_update', 'last_login'] as const),
  ...(['last_password_change', 'first_download', 'first_upload', 'created_at'] as const),
  ...(['used_upload_data_transfer', 'used_download_data_transfer'] as const),
] as const

/**
 * Makes a user out of a plugin's answer. The answer is the whole user: what is absent is absent, so that a group
 * taken away in the directory is taken away here. Only counters, the second factor, and what a placeholder stands
 * for come from the store. Everything is checked as if a stranger had sent it (S-67).
 */
export function applyAnswer(answer: GrantedUser, context: AnswerContext): AppliedAnswer {
  const { stored, username } = context
  const { value, problems, dropped } = parseUser(recordOf(answer))
  const [problem] = problems
  if (problem !== undefined) return { problem: `The answer of the plugin is not a user: ${problem}` }
  if (value.username !== username) return { problem: 'The plugin answered for another user name' }
  const secret = passphraseOf(value, stored)
  if ('problem' in secret) return secret
  const base = context.usersBaseDir ?? ''
  if (base !== '' && value.home_dir !== '' && !isInside(value.home_dir, base))
    return { problem: 'The plugin named a home outside "users_base_dir"' }
  const { password, filters, virtual_folders: folders, ...rest } = value
  const hash = hashOf(password, stored)
  const { totp_config: _answered, ...otherFilters } = filters
  const second = stored?.filters.totp_config
  return {
    user: {
      ...rest,
      ...keptFields(stored),
      ...(hash !== undefined && { password: hash }),
      filters: { ...otherFilters, ...(second !== undefined && { totp_config: second }) },
      filesystem: secret.filesystem,
      // By name alone: a plugin mounts what the administrator has made, not any directory of the machine.
      ...(folders !== undefined && {
        virtual_folders: folders.map(({ mapped_path: _path, filesystem: _filesystem, ...mount }) => mount),
      }),
    },
    dropped,
  }
}

function recordOf({ record, username, homeDirectory, permissions }: GrantedUser): Record<string, unknown> {
  const everywhere = Array.isArray(permissions) ? { '/': permissions } : permissions
  return {
    // Somebody who may log in is enabled unless the answer says otherwise.
    status: 1,
    ...record,
    username,
    ...(homeDirectory !== undefined && { home_dir: homeDirectory }),
    ...(everywhere !== undefined && { permissions: everywhere }),
  }
}

function keptFields(stored: User | undefined): Partial<User> {
  if (stored === undefined) return { id: 0 }
  return Object.fromEntries(kept.flatMap((key) => (stored[key] === undefined ? [] : [[key, stored[key]]])))
}

/** A hash from the plugin is taken; a placeholder means the stored one; clear text is never kept. */
function hashOf(password: string | undefined, stored: User | undefined): string | undefined {
  if (password === undefined) return undefined
  if (password === placeholder) return stored?.password
  return looksHashed(password) ? password : stored?.password
}

function passphraseOf(
  user: User,
  stored: User | undefined,
): { readonly filesystem: User['filesystem'] } | { readonly problem: string } {
  const secret: StoredSecret | undefined = user.filesystem.cryptconfig?.passphrase
  if (secret?.status !== 'Redacted' && secret?.payload !== placeholder) return { filesystem: user.filesystem }
  const before = stored?.filesystem.cryptconfig?.passphrase
  if (before === undefined) return { problem: 'The plugin sent a placeholder where no secret is stored' }
  return { filesystem: { ...user.filesystem, cryptconfig: { passphrase: before } } }
}
