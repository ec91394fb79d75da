import { NotifierDefinition } from '../../gen/slots/notifier.ts'
import { defineSlot } from '../slot.ts'
import { notifierCases } from './cases.ts'
import { eventsInOrder } from './in-order.ts'
import { answerAsNotifier, answerTogether, askNotifier } from './mapping.ts'

/** Who hears what happened. */
export const notifier = defineSlot({
  name: 'notifier',
  service: NotifierDefinition,
  cookie: { key: 'SFTPGO_PLUGIN_NOTIFIER', value: 'c499b98b-cd59-4df2-92b3-6268817f4d80' },
  versions: [1],
  callTimeoutMs: 20_000,
  optionsKey: 'notifier_options',
  connect: askNotifier,
  handlers: answerAsNotifier,
  beside: { ...eventsInOrder, handlers: answerTogether },
  cases: notifierCases,
})
