import { AccountError } from './account-error.ts'
import { parseUser } from './parse-user.ts'
import type { User } from './user.ts'

/** The user that this record is, or an `AccountError` with everything that is wrong with it. */
export function usableUser(record: unknown): User {
  const { value, problems } = parseUser(record)
  if (problems.length > 0) throw new AccountError('invalid', `This is not a user: ${problems.join('; ')}`)
  return value
}

/** Why a field is not changed by "user set"; undefined where it is. */
export function otherWayOf(path: string): string | undefined {
  return Object.hasOwn(otherWays, path) ? `"${path}" ${otherWays[path] ?? ''}` : undefined
}

const otherWays: Readonly<Record<string, string>> = {
  password: 'is changed by "user passwd"',
  public_keys: 'are changed by "user key add" and "user key remove"',
  ...{ id: 'never changes', username: 'never changes', created_at: 'never changes' },
}

/** What "user set" never changes, as it is. */
export function fieldsKept({ id, username, created_at, password, public_keys: keys }: User): Partial<User> {
  return {
    ...{ id, username, created_at },
    ...(password !== undefined && { password }),
    ...(keys !== undefined && { public_keys: keys }),
  }
}

/**
 * `user` with each change at its path: `filters.max_upload_file_size` reaches into an object, null clears. A field that is
 * not supported is refused.
 */
export function withChanges(user: User, changes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  // A copy as plain JSON, which is what the parser reads afterwards.
  const copy = JSON.parse(JSON.stringify(user)) as Record<string, unknown>
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.startsWith('permissions./')
      ? ['permissions', path.slice('permissions.'.length)]
      : path.split('.')
    if (keys.some((key) => key === '' || key === '__proto__' || key === 'constructor'))
      throw new AccountError('invalid', `"${path}" is not a field`)
    let place = copy
    for (const key of keys.slice(0, -1)) {
      const inner = Object.hasOwn(place, key) ? place[key] : undefined
      const next = typeof inner === 'object' && inner !== null ? inner : {}
      place[key] = next
      place = next as Record<string, unknown> // an object, as just made sure
    }
    const last = keys.at(-1) ?? ''
    if (value === null) delete place[last]
    else place[last] = value
  }
  const { dropped } = parseUser(copy)
  if (dropped.length > 0)
    throw new AccountError('invalid', `Not a field that is supported: ${dropped.join('; ')}`)
  return copy
}
