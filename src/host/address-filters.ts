import type { IpFilter } from '../slots/ipfilter/contract.ts'
import type { PluginHost } from './host.ts'

/** An ipfilter plugin: all of them are asked, in parallel, and all must allow. */
export interface AddressFilter {
  readonly name: string
  /** Asks the process that is ready at the time of each call; throws `not-ready` while there is none. */
  readonly filter: IpFilter
  /** `allow`: an address it could not judge is let in, and marked as unchecked. */
  readonly whenDown: 'refuse' | 'allow'
}

/** The address filters. One whose lists could not be read again counts as one that cannot answer. */
export function addressFilters(host: PluginHost): AddressFilter[] {
  return host.configured('ipfilter').map(({ name, entry }) => ({
    name,
    filter: { check: async (question, call) => host.ask('ipfilter', name).check(question, call) },
    whenDown: entry.whenDown === 'allow' ? 'allow' : 'refuse',
  }))
}
