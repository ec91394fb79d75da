import type { Clock } from '../base/clock.ts'
import { delay } from '../base/deadline.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { IpFilter } from '../slots/ipfilter/contract.ts'
import type { AddressLists } from './address-lists.ts'
import type { Defender, Offence } from './defender.ts'
import { plainAddress } from './ip-set.ts'
import type { Admission as Answer } from './login-conversation.ts'
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

/** What admission asks. */
export interface AdmissionOptions {
  /** Asked each time; all must allow. */
  readonly filters: () => readonly ConfiguredFilter[]
  readonly lists: AddressLists
  /** Only addresses of the allow list may connect. */
  readonly onlyAllowed: boolean
  readonly defender: Defender
  readonly limiters: readonly { readonly limiter: RateLimiter; readonly scores: boolean }[]
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/** Creates the address check. Order as in SFTPGo: filters, bans and deny list, allow list, rate limits. */
export function createAdmission(options: AdmissionOptions): Admission {
  const { lists, defender, log, meter } = options

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
      return filtered.unchecked ? { admitted: true, unchecked: true } : { admitted: true }
    },
    isBanned: (address) => defender.isBanned(plainAddress(address)),
    offend: (address, offence) => defender.score(plainAddress(address), offence),
  }
}

async function askFilters(
  { filters, log }: AdmissionOptions,
  address: string,
): Promise<{ readonly refusal?: string; readonly unchecked: boolean }> {
  const answers = await Promise.all(
    filters().map(async ({ name, filter, whenDown }) => {
      try {
        const verdict = await filter.check({ address, protocol: 'SSH' })
        if (verdict.allowed) return {}
        return { refusal: `Refused by "${name}"${verdict.reason === undefined ? '' : `: ${verdict.reason}`}` }
      } catch (error) {
        log.warn('ipfilter could not answer', { plugin: name, address, error: messageOf(error), whenDown })
        return whenDown === 'allow' ? { unchecked: true } : { refusal: `"${name}" could not answer` }
      }
    }),
  )
  const refusal = answers.find((answer) => answer.refusal !== undefined)?.refusal
  return {
    unchecked: answers.some((answer) => answer.unchecked === true),
    ...(refusal !== undefined && { refusal }),
  }
}
