import { createAnswerCache } from './answer-cache.ts'
import type { LoginAuthority } from './login-conversation.ts'
import type { LoginOptions } from './login-options.ts'
import { firstPage, OneLogin, type LoginsInCommon } from './one-login.ts'
import { createProvenKeys } from './proven-keys.ts'
import { createRefusalClock, type RefusalInterval } from './refusal-clock.ts'

/** Creates the one place that decides about logins, whatever the method. */
export function createLoginAuthority(options: LoginOptions): LoginAuthority & { close(): void } {
  const cache = createAnswerCache(options.clock)
  const shared: LoginsInCommon = {
    options,
    cache,
    refusals: createRefusalClock(options.clock, (method) => intervalOf(method, options.settings)),
    firstPages: new Map(),
    provenKeys: createProvenKeys(),
  }
  const unwatch = options.store.watch((change) => {
    if (change.of === 'all') cache.forgetAll()
    else cache.forget(change.username)
  })
  return {
    admit: (address) => options.admission.admit(address),
    exceeded: (address) => void options.admission.offend(address, 'limit-exceeded'),
    begin: (connection) => new OneLogin(shared, connection),
    close: unwatch,
  }
}

function intervalOf(method: string, { failedPasswordDelayMs }: LoginOptions['settings']): RefusalInterval {
  // The least covers the difference between looking up a name that is there and one that is not.
  if (method === 'publickey') return { leastMs: 5, mostMs: 5_000 }
  // People who are about to be let in wait for it too, so one slow answer of a plugin must not cost them much.
  if (method === firstPage) return { leastMs: 5, mostMs: 1_000 }
  return { leastMs: failedPasswordDelayMs, mostMs: 5_000 }
}
