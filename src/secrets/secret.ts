import { createHash } from 'node:crypto'
import { inspect } from 'node:util'

/** A stored secret in SFTPGo's own form. Empty means: no secret. */
export interface StoredSecret {
  readonly status?: string
  readonly payload?: string
  readonly key?: string
  readonly additional_data?: string
  readonly mode?: number
  /**
   * Ours: the address of the key that a kms plugin sealed it with, so that it opens after `kms.secrets.url` changed.
   * SFTPGo ignores it.
   */
  readonly url?: string
}

/** Statuses that name no keeper. */
export const plainStatus = 'Plain'
export const redactedStatus = 'Redacted'

/** What stands wherever a secret would. */
const veil = '[secret]'

/** An opened secret. Printed, logged, serialised or compared by accident it shows nothing; only `reveal` gives it. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The secret itself, for the one place that needs it. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return veil
  }

  toJSON(): string {
    return veil
  }

  [inspect.custom](): string {
    return veil
  }
}

/** Whether there is a secret at all. */
export function isEmptySecret(stored: StoredSecret | undefined): boolean {
  return stored?.payload === undefined || stored.payload === ''
}

/** The form that is shown: that there is one, and nothing of it. */
export function redactedSecret(stored: StoredSecret): StoredSecret {
  return isEmptySecret(stored) ? {} : { status: redactedStatus }
}

/** Tells stored secrets apart: the same for the same sealed form, and nothing about what is in it. */
export function identityOf(stored: StoredSecret): string {
  return createHash('sha256').update(JSON.stringify(stored)).digest('base64')
}
