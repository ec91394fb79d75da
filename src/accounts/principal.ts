import type { User } from './user.ts'

/** Who is logged in on a connection, and how they proved it. The user is complete: groups merged, placeholders replaced. */
export interface Principal {
  readonly user: User
  /** How the login was proved, in SFTPGo's words: `publickey`, `password`, `publickey+password` ... */
  readonly method: string
  /** The client's address without port; the real one behind a proxy. */
  readonly address: string
  /** The connection's id in hex, unique in this server: event session ids are made of it. */
  readonly connectionId: string
  /** The fingerprint of the proved key, where a key was proved. */
  readonly keyFingerprint?: string
  /** The address was let in although a filter could not answer (`when_down: allow`). */
  readonly unchecked?: true
}
