import { KMSDefinition } from '../../gen/slots/kms.ts'
import { defineSlot } from '../slot.ts'
import { kmsCases } from './cases.ts'
import { answerAsKeyKeeper, askKeyKeeper } from './mapping.ts'

/** Where secrets are sealed. */
export const kms = defineSlot({
  name: 'kms',
  service: KMSDefinition,
  cookie: { key: 'SFTPGO_PLUGIN_KMS', value: '223e3571-7ed2-4b96-b4b3-c7eb87d7ca1d' },
  versions: [1],
  callTimeoutMs: 20_000,
  optionsKey: 'kms_options',
  connect: askKeyKeeper,
  handlers: answerAsKeyKeeper,
  cases: kmsCases,
})
