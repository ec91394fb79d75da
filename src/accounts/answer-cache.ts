import { createHmac, randomBytes } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { User } from './user.ts'

/**
 * Remembers what auth plugins granted, for users whose `external_auth_cache_time` says so.
 *
 * Kept in memory and bound to the very credential that was granted: another password is always asked about, and
 * one that the plugin refused is forgotten at once, so that an old password never outlives a refusal (D-25).
 */
export interface AnswerCache {
  find(username: string, credential: Credential): User | undefined
  granted(username: string, credential: Credential, user: User, cacheMs: number): void
  refused(username: string, credential: Credential): void
  forget(username: string): void
  forgetAll(): void
}

/** What proved the login. */
export interface Credential {
  readonly kind: 'password' | 'publickey'
  readonly value: string
}

const most = 10_000

/** Creates an empty cache. */
export function createAnswerCache(clock: Clock): AnswerCache {
  const key = randomBytes(32)
  const entries = new Map<string, { readonly digest: string; readonly user: User; readonly until: number }>()
  const digestOf = ({ kind, value }: Credential): string =>
    createHmac('sha256', key).update(`${kind}:${value}`).digest('base64')
  const nameOf = (username: string, { kind }: Credential): string => `${kind}:${username}`
  return {
    find(username, credential) {
      const entry = entries.get(nameOf(username, credential))
      if (entry === undefined || entry.until <= clock.now() || entry.digest !== digestOf(credential))
        return undefined
      return entry.user
    },
    granted(username, credential, user, cacheMs) {
      const name = nameOf(username, credential)
      entries.delete(name)
      if (cacheMs <= 0) return
      entries.set(name, { digest: digestOf(credential), user, until: clock.now() + cacheMs })
      if (entries.size > most) {
        const [oldest] = entries.keys()
        if (oldest !== undefined) entries.delete(oldest)
      }
    },
    refused(username, credential) {
      const name = nameOf(username, credential)
      if (entries.get(name)?.digest === digestOf(credential)) entries.delete(name)
    },
    forget(username) {
      entries.delete(`password:${username}`)
      entries.delete(`publickey:${username}`)
    },
    forgetAll: () => entries.clear(),
  }
}
