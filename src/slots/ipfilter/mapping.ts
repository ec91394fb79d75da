import type { IPFilterDefinition } from '../../gen/slots/ipfilter.ts'
import type { Caller, Handlers } from '../../wire/service.ts'
import { refusalError, refusalOrValue, valueOrFailure } from '../answer.ts'
import type { Reading } from '../slot.ts'
import type { IpFilter } from './contract.ts'

/** An address filter over a connection. */
export function askIpFilter(caller: Caller<IPFilterDefinition>, reading: Reading = {}): Required<IpFilter> {
  return {
    async check({ address, protocol }, call) {
      const { refusal } = await refusalOrValue(caller.checkIP({ ip: address, protocol }, call), reading)
      return refusal === undefined ? { allowed: true } : { allowed: false, ...refusal }
    },
    async reload(call) {
      await valueOrFailure(caller.reload({}, call))
    },
  }
}

/** The service that an author's filter makes. */
export function answerAsIpFilter(api: IpFilter): Handlers<IPFilterDefinition> {
  return {
    async checkIP({ ip, protocol }, call) {
      const verdict = await api.check({ address: ip, protocol }, call)
      if (!verdict.allowed) throw refusalError(verdict)
      return {}
    },
    async reload(_request, call) {
      // A filter without lists of its own has nothing to read again.
      await api.reload?.(call)
      return {}
    },
  }
}
