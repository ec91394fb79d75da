import type { Verdict } from '../slots/auth/contract.ts'
import { scopeOf, walkAuthenticators } from './authenticators.ts'
import { mostPasswordBytes } from './password.ts'
import { questionRecord } from './plugin-question.ts'
import { note, proofOfWalk, refused, type Attempt, type Proof } from './proof.ts'
import { within } from './within.ts'

/** Whether this is the password of the user: remembered answers, then plugins, then the store. */
export async function provePassword(attempt: Attempt, password: string): Promise<Proof> {
  const { options, cache, username } = attempt
  const since = options.clock.monotonic()
  if (password === '' || password.includes('\0') || Buffer.byteLength(password) > mostPasswordBytes) {
    // Costs what a wrong password costs, so that such a password tells nothing about the name.
    await options.passwords.verify(undefined, 'x', attempt.address)
    return refused('password', 'The password is empty or malformed', {
      unknown: attempt.stored === undefined,
    })
  }
  const credential = { kind: 'password', value: password } as const
  if (attempt.plugins.length > 0) {
    const known = cache.find(username, credential)
    if (known !== undefined) {
      note(attempt, since, 'cache', 'ok')
      return { proved: true, user: known, by: 'cache' }
    }
    const walk = await walkAuthenticators(
      attempt.plugins,
      scopeOf.password,
      (entry): Promise<Verdict> => {
        const { authenticator, userDetail } = entry
        if (authenticator.checkPassword === undefined) throw new Error('It does not check passwords')
        const question = {
          ...{ username, password, address: attempt.address, protocol: 'SSH' },
          user: questionRecord(attempt.stored, username, userDetail),
        }
        return within(authenticator.checkPassword(question, { signal: attempt.signal }), attempt.signal)
      },
      (entry, result, reason) => note(attempt, since, `plugin ${entry.name}`, result, reason),
    )
    const proof = await proofOfWalk(attempt, walk, credential)
    if (proof !== undefined) return proof
  }
  return checkStored(attempt, password)
}

/** Holds a password against the stored hash alone. */
export async function checkStored(attempt: Attempt, password: string): Promise<Proof> {
  const { options, stored } = attempt
  const since = options.clock.monotonic()
  const check = await options.passwords.verify(stored?.password, password, attempt.address)
  if (check.result === 'match' && stored !== undefined) {
    note(attempt, since, 'store', 'ok')
    const hash = stored.password ?? ''
    return {
      proved: true,
      user: stored,
      by: 'store',
      ...(check.outdated && { outdated: { hash, password } }),
    }
  }
  const reason =
    stored === undefined
      ? 'There is no such user'
      : check.result === 'unusable'
        ? `The stored hash cannot be used: ${check.reason}`
        : check.result === 'overloaded'
          ? 'Too many passwords wait to be checked'
          : (stored.password ?? '') === ''
            ? 'The user has no password'
            : 'The password is wrong'
  note(attempt, since, 'store', check.result === 'overloaded' ? 'failed' : 'refused', reason)
  return refused('store', reason, {
    unknown: stored === undefined,
    broken: check.result === 'overloaded',
  })
}
