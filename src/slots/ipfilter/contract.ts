import type { Call, Refusal } from '../call.ts'

/**
 * Decides which addresses may connect at all, before anything is said to them.
 *
 * Promises: an address is allowed only by an answer; a filter whose `reload` failed counts as one that cannot answer.
 */
export interface IpFilter {
  check(question: AddressQuestion, call?: Call): Promise<AddressVerdict>
  /** Reads its lists again. */
  reload?(call?: Call): Promise<void>
}

/** Which address asks, over what: `SSH`, `FTP`, `DAV` or `HTTP`. */
export interface AddressQuestion {
  readonly address: string
  readonly protocol: string
}

/** What a filter answers. */
export type AddressVerdict = { readonly allowed: true } | ({ readonly allowed: false } & Partial<Refusal>)
