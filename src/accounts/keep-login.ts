import { messageOf } from '../base/errors.ts'
import type { LoginOptions } from './login-options.ts'
import type { Proof } from './proof.ts'
import type { User } from './user.ts'

/** Keeps a plugin's user in the store where its entry asks for that; the session uses what a plugin said either way. */
export async function keepUser(
  { store, log }: LoginOptions,
  proof: Proof & { readonly proved: true },
  complete: User,
): Promise<User> {
  if (proof.persist !== true) return complete
  if (!store.canChange(proof.user.username)) return complete
  const before = store.findUser(proof.user.username)
  if (before !== undefined && sameRecord(before, proof.user)) return complete
  const stored = await store.putUser(proof.user)
  log.info('user kept from plugin', { username: stored.username, decidedBy: proof.by })
  return { ...complete, id: stored.id, created_at: stored.created_at }
}

/** Off the path of the login: a hash of an older kind becomes one of the configured kind. */
export function renewHash(
  { passwords, store, log }: LoginOptions,
  username: string,
  { hash, password }: { readonly hash: string; readonly password: string },
): void {
  if (!store.canChange(username) || passwords.passwordProblem(password) !== undefined) return
  passwords
    .hash(password)
    .then((renewed) =>
      store.changeUser(username, (user) => (user.password === hash ? { ...user, password: renewed } : user)),
    )
    .then(
      () => log.info('password hash renewed', { username }),
      (error: unknown) => log.warn('password hash not renewed', { username, error: messageOf(error) }),
    )
}

/** Whether two records say the same; counters and times of change aside. */
function sameRecord(a: User, b: User): boolean {
  const text = (user: User): string =>
    JSON.stringify(
      Object.entries(user)
        .filter(([key]) => !passing.has(key))
        .sort(([x], [y]) => (x < y ? -1 : 1)),
    )
  return text(a) === text(b)
}

const passing = new Set([
  ...[
    'id',
    'updated_at',
    'created_at',
    'last_login',
    'used_quota_size',
    'used_quota_files',
    'last_quota_update',
  ],
  ...['first_download', 'first_upload', 'used_upload_data_transfer', 'used_download_data_transfer'],
])
