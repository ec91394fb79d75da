import type { Channel, CallerOptions } from '../wire/client.ts'
import type { ServedService } from '../wire/server.ts'
import type { Announcements } from '../wire/service.ts'
import { auth } from './auth/index.ts'
import { ipfilter } from './ipfilter/index.ts'
import { kms } from './kms/index.ts'
import { notifier } from './notifier/index.ts'
import type { AnySlot, Reading, Slot } from './slot.ts'

/** Every slot there is. Configuration, host, SDK and command line read this table. */
export const slots = { auth, notifier, kms, ipfilter } as const

/** A slot of the table. */
export type SlotName = keyof typeof slots

/** What a plugin in this slot can do. */
export type SlotApi<N extends SlotName> = ApiOf<(typeof slots)[N]>

/** What an author writes to fill this slot. */
export type SlotOffer<N extends SlotName> = OfferOf<(typeof slots)[N]>

/** What the contract cases of this slot want to know about a plugin. */
export type SlotSamples<N extends SlotName> = SamplesOf<(typeof slots)[N]>

type Parts<S> =
  S extends Slot<string, infer _Service, infer Api, infer Offer, infer Samples>
    ? { readonly api: Api; readonly offer: Offer; readonly samples: Samples }
    : never

/** What a slot's plugins can do. */
export type ApiOf<S> = Parts<S>['api']

/** What a slot's authors write. */
export type OfferOf<S> = Parts<S>['offer']

/** What a slot's cases want to know. */
export type SamplesOf<S> = Parts<S>['samples']

/** As much of a connection to a plugin as a slot needs. */
export type SlotChannel = Pick<Channel, 'caller' | 'announced'>

/** The contract of a slot over a connection to a plugin that fills it. */
export function connectSlot<N extends SlotName>(
  name: N,
  channel: SlotChannel,
  options: CallerOptions & Reading,
): SlotApi<N> {
  // Widening: each slot's own caller has at least the methods that its own `connect` takes.
  const slot = slots[name] as unknown as AnySlot
  // The table says that the slot of this name has this contract.
  return slot.connect(
    channel.caller(slot.service, options),
    options,
    callerBeside(slot, channel, options),
  ) as SlotApi<N>
}

function callerBeside({ beside }: AnySlot, channel: SlotChannel, options: CallerOptions): object | undefined {
  if (beside === undefined) return undefined
  const { field, value } = beside.announces
  return channel.announced(field) === value ? channel.caller(beside.service, options) : undefined
}

/** What a plugin of ours serves in a slot, and says of itself. */
export function servedIn(
  slot: AnySlot,
  offer: unknown,
): { readonly services: readonly ServedService[]; readonly announces: Announcements } {
  const own = { description: slot.service, handlers: slot.handlers(offer) }
  const { beside } = slot
  if (beside === undefined) return { services: [own], announces: {} }
  const { field, value } = beside.announces
  return {
    services: [own, { description: beside.service, handlers: beside.handlers(offer) }],
    announces: { [field]: value },
  }
}
