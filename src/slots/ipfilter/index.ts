import { IPFilterDefinition } from '../../gen/slots/ipfilter.ts'
import { defineSlot } from '../slot.ts'
import { ipFilterCases } from './cases.ts'
import { answerAsIpFilter, askIpFilter } from './mapping.ts'

/** Which addresses may connect. */
export const ipfilter = defineSlot({
  name: 'ipfilter',
  service: IPFilterDefinition,
  cookie: { key: 'SFTPGO_PLUGIN_IPFILTER', value: '368dbdab-4839-4bec-b75f-fc74a2d50f24' },
  versions: [1],
  callTimeoutMs: 5_000,
  optionsKey: 'ipfilter_options',
  connect: askIpFilter,
  handlers: answerAsIpFilter,
  cases: ipFilterCases,
})
