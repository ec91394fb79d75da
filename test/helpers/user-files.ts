import type { Principal } from '../../src/accounts/principal.ts'
import type { User } from '../../src/accounts/user.ts'
import { rootPath } from '../../src/base/virtual-path.ts'
import { createUserFiles, type UserFilesOptions } from '../../src/files/create-user-files.ts'
import type { Mount } from '../../src/files/mounts.ts'
import { createQuota, type QuotaLimits } from '../../src/files/quota.ts'
import type { UsageCounter } from '../../src/files/usage-ledger.ts'
import type { UserFiles } from '../../src/files/user-files.ts'
import type { Backend } from '../../src/storage/backend.ts'

/** A complete user who may do everything, changed as a test needs. */
export function userWith(change: Partial<User> = {}): User {
  return {
    ...{ id: 1, status: 1, username: 'ada', expiration_date: 0, home_dir: '/srv/ada', uid: 0, gid: 0 },
    ...{ max_sessions: 0, quota_size: 0, quota_files: 0, used_quota_size: 0, used_quota_files: 0 },
    ...{ last_quota_update: 0, permissions: { '/': ['*'] }, upload_bandwidth: 0, download_bandwidth: 0 },
    ...{ last_login: 0, created_at: 0, updated_at: 0, filters: {}, filesystem: { provider: 0 } },
    ...change,
  }
}

export function principalOf(user: User): Principal {
  return { user, method: 'password', address: '192.0.2.1', connectionId: 'c0ffee' }
}

/** A home at the root, without limits unless some are given. */
export function homeOn(
  backend: Backend,
  options: { realRoot?: string; counter?: UsageCounter; limits?: QuotaLimits } = {},
): Mount {
  const { realRoot = '', counter, limits = { size: 0, files: 0 } } = options
  return { at: rootPath, backend, realRoot, provider: 0, quota: createQuota(counter, limits) }
}

/** Files of a user on one backend. */
export function filesOn(
  backend: Backend,
  options: Partial<UserFilesOptions> & { readonly user?: Partial<User> } = {},
): UserFiles {
  const { user, ...rest } = options
  return createUserFiles({ principal: principalOf(userWith(user)), home: homeOn(backend), ...rest })
}
