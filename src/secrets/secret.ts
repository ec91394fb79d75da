/** A stored secret in SFTPGo's own form. Empty means: no secret. */
export interface StoredSecret {
  readonly status?: string
  readonly payload?: string
  readonly key?: string
  readonly additional_data?: string
  readonly mode?: number
}
