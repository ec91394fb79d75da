/** Why an account could not be shown or changed. */
export type AccountErrorCode = 'not-found' | 'exists' | 'invalid' | 'read-only'

/** A command about accounts could not be done. The sentence is for the operator. */
export class AccountError extends Error {
  override readonly name = 'AccountError'
  readonly code: AccountErrorCode

  constructor(code: AccountErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
