import type { Call, Refusal } from '../call.ts'

/**
 * Decides who may log in. A plugin implements the methods it is configured for (`auth_options.scope`).
 *
 * Promises: every call ends within its deadline or is abandoned; an answer concerns the asked user name alone;
 * nothing a plugin answers makes the server trust another name.
 */
export interface Authenticator {
  /** Is this the user's password? */
  checkPassword?(attempt: PasswordAttempt, call?: Call): Promise<Verdict>
  /** May the holder of this key log in? The server has checked, or will check, that the client holds it. */
  checkPublicKey?(attempt: PublicKeyAttempt, call?: Call): Promise<Verdict>
  /** May the holder of this TLS certificate log in? SFTP never asks; other hosts do. */
  checkCertificate?(attempt: CertificateAttempt, call?: Call): Promise<Verdict>
  /** May this user be asked questions at all, and who would it be? Comes before the first question. */
  beginDialogue?(attempt: LoginAttempt, call?: Call): Promise<Verdict>
  /** The next step of a dialogue: no answers yet at step 1, the answers to the last questions after that. */
  continueDialogue?(step: DialogueStep, call?: Call): Promise<DialogueReply>
}

/** Who asks to come in. */
export interface LoginAttempt {
  readonly username: string
  /** The client's address without port. */
  readonly address: string
  /** `SSH` for SFTP. */
  readonly protocol: string
  /** The stored user as SFTPGo's JSON object; for an unknown user `id` is 0 and only the name is filled. */
  readonly user: UserRecord
}

/** A login with a password. */
export interface PasswordAttempt extends LoginAttempt {
  readonly password: string
}

/** A login with a public key, in authorized-keys form. */
export interface PublicKeyAttempt extends LoginAttempt {
  readonly publicKey: string
}

/** A login with a TLS client certificate, as PEM. */
export interface CertificateAttempt extends LoginAttempt {
  readonly certificate: string
}

/** SFTPGo's user object, as JSON. */
export type UserRecord = Readonly<Record<string, unknown>>

/** What an authenticator answers. */
export type Verdict =
  /** Without a user: the stored one is accepted as it is. */
  { readonly granted: true; readonly user?: GrantedUser } | ({ readonly granted: false } & Partial<Refusal>)

/** Who a login becomes: the whole user. What is absent here is absent for the session too. */
export interface GrantedUser {
  readonly username: string
  readonly homeDirectory?: string
  /** Rights everywhere, or per virtual directory. Default: none, which lets nobody do anything. */
  readonly permissions?: readonly string[] | Readonly<Record<string, readonly string[]>>
  /** Further fields of SFTPGo's user object under its own names; the three above win over them. */
  readonly record?: UserRecord
}

/** One step of a dialogue. */
export interface DialogueStep {
  /** The same for all steps of one dialogue. */
  readonly dialogueId: string
  readonly step: number
  readonly username: string
  readonly address: string
  /** The stored password hash, or a placeholder for it. */
  readonly password: string
  readonly answers: readonly string[]
  /** The questions that the answers belong to. */
  readonly questions: readonly string[]
}

/** What comes next in a dialogue. */
export type DialogueReply =
  | {
      readonly next: 'ask'
      readonly instructions: string
      readonly questions: readonly DialogueQuestion[]
      /** Whether the server itself checks the one answer and then tells the plugin `OK`. */
      readonly serverChecks?: 'password' | 'totp'
    }
  | { readonly next: 'grant' }
  | ({ readonly next: 'refuse' } & Partial<Refusal>)

/** One question, and whether what is typed may be seen. */
export interface DialogueQuestion {
  readonly text: string
  readonly echo: boolean
}
