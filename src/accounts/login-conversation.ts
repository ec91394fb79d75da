import type { Principal } from './principal.ts'

/** Who decides about connections and logins. `ssh` asks; `login.ts` answers. */
export interface LoginAuthority {
  /** May this address connect at all? Asked before the first byte is sent; the id is that of the connection. */
  admit(address: string, connectionId: string): Promise<Admission>
  /** An address wanted more connections than one may have: counts against it. */
  exceeded(address: string): void
  /** Begins the login of one connection. The conversation is ended exactly once. */
  begin(connection: LoginConnection): LoginConversation
}

/** Whether an address may connect; the reason is for the log. */
export type Admission = Admitted | { readonly admitted: false; readonly reason: string }

/** An address that may connect. */
export interface Admitted {
  readonly admitted: true
  /** A filter could not answer, and its configuration lets such addresses in. */
  readonly unchecked?: true
  /** Who was asked about the address: the first steps of the login's story. */
  readonly checks: readonly AddressCheck[]
}

/** What one of those who judge addresses said: a plugin, or the server's own lists, bans and rate limits. */
export interface AddressCheck {
  /** `plugin NAME` or `address`. */
  readonly by: string
  readonly result: 'ok' | 'failed'
  readonly reason?: string
  readonly elapsedMs: number
}

/** The connection that wants to log in. */
export interface LoginConnection {
  /** In hex, unique in this server. */
  readonly connectionId: string
  /** The client's address without port; the real one behind a proxy. */
  readonly address: string
  /** What the client calls itself, escaped, for the log. */
  readonly clientVersion: string
  /** How the address came to be let in. */
  readonly admission?: Admitted
}

/**
 * The login of one connection: all methods, one story. Requests come one at a time; partial success of a
 * multi-step login is kept here and ends with the connection or with another user name.
 */
export interface LoginConversation {
  /** "none": tells which methods may go on; never granted. */
  none(username: string): Promise<LoginAnswer>
  password(username: string, password: string): Promise<LoginAnswer>
  /** Would this key do? Proves nothing and changes nothing. */
  queryKey(username: string, key: OfferedKey): Promise<LoginAnswer | { readonly verdict: 'would-do' }>
  /** The key with the client's proof that it holds it. The proved key is the identity. */
  provedKey(username: string, key: OfferedKey, proof: KeyProof): Promise<LoginAnswer>
  /** `ask` shows questions and returns the answers, or undefined when the client gave up. */
  keyboardInteractive(username: string, ask: AskClient): Promise<LoginAnswer>
  /** The connection is over: logged in or not. Late answers are dropped. */
  end(): void
}

/** Shows questions to the client. */
export type AskClient = (page: QuestionPage) => Promise<readonly string[] | undefined>

/** One round of questions. */
export interface QuestionPage {
  readonly name: string
  readonly instructions: string
  readonly questions: readonly { readonly text: string; readonly echo: boolean }[]
}

/** A public key or certificate as the client sent it; nothing of it is trusted. */
export interface OfferedKey {
  /** The algorithm name of the request: `ssh-ed25519`, `rsa-sha2-512`, `...-cert-v01@openssh.com` ... */
  readonly algorithm: string
  /** The key blob, byte for byte. */
  readonly blob: Buffer
}

/** What proves that the client holds a key: the data RFC 4252 section 7 says is signed, and the signature blob as sent. */
export interface KeyProof {
  readonly signedData: Buffer
  readonly signature: Buffer
}

/** What the client hears. */
export type LoginAnswer =
  | { readonly verdict: 'granted'; readonly principal: Principal }
  | { readonly verdict: 'partial'; readonly methods: readonly string[] }
  | {
      readonly verdict: 'refused'
      /** The methods that may go on. */
      readonly methods: readonly string[]
      /** Eight characters that find the whole story: `sftpgo-ts why ID`. */
      readonly reference: string
      /** Nothing more is answered on this connection. */
      readonly final: boolean
    }
