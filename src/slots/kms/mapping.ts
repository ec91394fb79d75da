import type { KMSDefinition } from '../../gen/slots/kms.ts'
import type { Caller, Handlers } from '../../wire/service.ts'
import { valueOrFailure } from '../answer.ts'
import type { KeyKeeper } from './contract.ts'

/** A keeper over a connection. */
export function askKeyKeeper(caller: Caller<KMSDefinition>): KeyKeeper {
  return {
    seal: (request, call) => valueOrFailure(caller.encrypt({ ...request }, call)),
    async open(request, call) {
      return (await valueOrFailure(caller.decrypt({ ...request }, call))).payload
    },
  }
}

/** The service that an author's keeper makes. */
export function answerAsKeyKeeper(api: KeyKeeper): Handlers<KMSDefinition> {
  return {
    async encrypt(request, call) {
      const { payload, key, mode } = await api.seal(request, call)
      return { payload, key, mode }
    },
    async decrypt(request, call) {
      return { payload: await api.open(request, call) }
    },
  }
}
