import type { Clock } from '../base/clock.ts'
import { delay } from '../base/deadline.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { IpFilter } from '../slots/ipfilter/contract.ts'
import type { AddressLists } from './address-lists.ts'
import type { Defender, Offence } from './defender.ts'
import { plainAddress } from './ip-set.ts'
import type { AddressCheck, Admission as Answer } from './login-conversation.ts'
import type { RateLimiter } from './rate-limiter.ts'

/** Decides which addresses may connect, before the first byte is sent to them. */
export interface Admission {
  admit(address: string): Promise<Answer>
  /** Whether an address that is connected already has been banned since. */
  isBanned(address: string): boolean
  /** An address did something that counts against it; true when that got it banned. */
  offend(address: string, offence: Offence): boolean
}

/** An address filter, as the plugin wing hands it over. */
export interface ConfiguredFilter {
  readonly name: string
  readonly filter: IpFilter
  /** What its silence means. */
  readonly whenDown: 'refuse' | 'allow'
}

/** A rate limiter, and whether the defender hears of whoever exceeds it. */
export interface ScoredLimiter {
  readonly limiter: RateLimiter
  readonly scores: boolean
}

/** What admission asks. All of it is asked each time, so that a getter makes it changeable. */
export interface AdmissionOptions {
  /** Asked each time; all must allow. */
  readonly filters: () => readonly ConfiguredFilter[]
  readonly lists: AddressLists
  /** Only addresses of the allow list may connect. */
  readonly onlyAllowed: boolean
  readonly defender: Defender
  readonly limiters: readonly ScoredLimiter[]
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/** Creates the address check. Order as in SFTPGo: filters, bans and deny list, allow list, rate limits. */
export function createAdmission(options: AdmissionOptions): Admission {
  const { lists, defender, clock, log, meter } = options

  const refuse = (address: string, by: string, reason: string): Answer => {
    meter.add('sftpgo_connections_refused_total', 1, { by })
    log.info('connection refused', { address, by, reason })
    return { admitted: false, reason }
  }
  return {
    async admit(raw) {
      const address = plainAddress(raw)
      const filtered = await askFilters(options, address)
      if (filtered.refusal !== undefined) return refuse(address, 'ipfilter', filtered.refusal)
      const since = clock.monotonic()
      if (lists.isIn('deny', address)) return refuse(address, 'deny-list', 'The address is on the deny list')
      if (defender.bannedUntil(address) !== undefined)
        return refuse(address, 'defender', 'The address is banned')
      if (options.onlyAllowed && !lists.isIn('allow', address))
        return refuse(address, 'allow-list', 'The address is not on the allow list')
      for (const { limiter, scores } of options.limiters) {
        const wait = limiter.delayFor(address)
        if (wait === undefined) {
          if (scores) defender.score(address, 'limit-exceeded')
          return refuse(address, 'rate-limiter', 'The address connects too often')
        }
        if (wait > 0) await delay(wait)
      }
      const own = { by: 'address', result: 'ok', elapsedMs: clock.monotonic() - since } as const
      const unchecked = filtered.checks.some(({ result }) => result === 'failed')
      return { admitted: true, checks: [...filtered.checks, own], ...(unchecked && { unchecked }) }
    },
    isBanned: (address) => defender.isBanned(plainAddress(address)),
    offend: (address, offence) => defender.score(plainAddress(address), offence),
  }
}

async function askFilters(
  { filters, clock, log }: AdmissionOptions,
  address: string,
): Promise<{ readonly refusal?: string; readonly checks: readonly AddressCheck[] }> {
  const answers = await Promise.all(
    filters().map(
      async ({
        name,
        filter,
        whenDown,
      }): Promise<{ readonly refusal: string } | { readonly check: AddressCheck }> => {
        const since = clock.monotonic()
        const by = `plugin ${name}`
        try {
          const verdict = await filter.check({ address, protocol: 'SSH' })
          if (verdict.allowed) return { check: { by, result: 'ok', elapsedMs: clock.monotonic() - since } }
          const reason = verdict.reason === undefined ? '' : `: ${verdict.reason}`
          return { refusal: `Refused by "${name}"${reason}` }
        } catch (error) {
          const reason = messageOf(error)
          log.warn('ipfilter could not answer', { plugin: name, address, error: reason, whenDown })
          if (whenDown === 'refuse') return { refusal: `"${name}" could not answer` }
          return { check: { by, result: 'failed', reason, elapsedMs: clock.monotonic() - since } }
        }
      },
    ),
  )
  const refusal = answers.find((answer) => 'refusal' in answer)
  return {
    checks: answers.flatMap((answer) => ('check' in answer ? [answer.check] : [])),
    ...(refusal !== undefined && 'refusal' in refusal && { refusal: refusal.refusal }),
  }
}
