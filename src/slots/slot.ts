import type { Cookie } from '../wire/environment.ts'
import type { Caller, Handlers, ServiceDescription } from '../wire/service.ts'
import type { ContractCase } from './contract-case.ts'

/** How to read what a plugin says, for who knows the plugin. */
export interface Reading {
  /** What status UNKNOWN means (`unknown_status` of the entry). Default: the slot's own rule. */
  readonly unknownStatus?: 'refusal' | 'failure'
}

/** A typed opening in the server: everything that host and SDK have to know about it. */
export interface Slot<Name extends string, Service extends ServiceDescription, Api, Offer, Samples> {
  readonly name: Name
  readonly service: Service
  readonly cookie: Cookie
  /** The versions of its messages that we speak. */
  readonly versions: readonly number[]
  /** How long one call may take where the entry does not say. */
  readonly callTimeoutMs: number
  /** The section of a plugin entry with this slot's options; `options.schema.json` beside it says what it holds. */
  readonly optionsKey: `${Name}_options`
  /** The asking side: the contract over a connection. Its methods throw only `PluginError`. */
  connect(caller: Caller<Service>, reading?: Reading, beside?: object): Api
  /** The answering side: a service made of what an author wrote, who may leave out what the contract lets him. */
  handlers(offer: Offer): Handlers<Service>
  /** A second service, which our SDK serves and our host asks where it is announced. */
  readonly beside?: Beside<Offer>
  /** The contract as runnable cases. */
  readonly cases: readonly ContractCase<Api, Samples>[]
}

/** What goes beyond SFTPGo's messages, between a host and an SDK of ours. */
export interface Beside<Offer> {
  readonly service: ServiceDescription
  /** How a plugin says, beside every answer, that it serves it. */
  readonly announces: { readonly field: string; readonly value: string }
  handlers(offer: Offer): Readonly<Record<string, unknown>>
}

/** Checks a slot by its type. */
export function defineSlot<
  const Name extends string,
  Service extends ServiceDescription,
  Api,
  Offer,
  Samples,
>(slot: Slot<Name, Service, Api, Offer, Samples>): Slot<Name, Service, Api, Offer, Samples> {
  return slot
}

/** Any slot, where only what all have in common matters. */
export interface AnySlot {
  readonly name: string
  readonly service: ServiceDescription
  readonly cookie: Cookie
  readonly versions: readonly number[]
  readonly callTimeoutMs: number
  readonly cases: readonly { readonly promise: string }[]
  readonly beside?: Beside<unknown>
  connect(caller: object, reading?: Reading, beside?: object): unknown
  handlers(offer: unknown): Readonly<Record<string, unknown>>
}
