import type { Call } from '../call.ts'

/**
 * Seals and opens secrets with a key that lies elsewhere.
 *
 * Promises: what `open` returns is what `seal` was given, or it throws; opening with other additional data throws.
 */
export interface KeyKeeper {
  seal(request: SealRequest, call?: Call): Promise<SealedPayload>
  open(request: OpenRequest, call?: Call): Promise<string>
}

/** A secret to seal. */
export interface SealRequest {
  readonly payload: string
  /** Bound to the secret: opening needs the same. */
  readonly additionalData: string
  /** Which key, in the keeper's own form. */
  readonly url: string
  /** The server's own master key, or empty. */
  readonly masterKey: string
}

/** What a keeper gives back to be stored. */
export interface SealedPayload {
  readonly payload: string
  readonly key: string
  readonly mode: number
}

/** A sealed secret to open. */
export interface OpenRequest extends SealedPayload {
  readonly additionalData: string
  readonly url: string
  readonly masterKey: string
}
