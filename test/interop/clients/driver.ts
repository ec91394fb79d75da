/** The server a client talks to: its address, and what it needs to log in. */
export interface ServerAddress {
  readonly port: number
  readonly username: string
  /** An Ed25519 private key in OpenSSH's form. */
  readonly keyFile: string
  /** `SHA256:...` of the server's Ed25519 host key. */
  readonly hostKeyFingerprint: string
  /** A file in known_hosts form. */
  readonly knownHosts: string
  /** The client's own scratch folder. */
  readonly folder: string
}

/** One stock client. An operation that its manual does not offer is left out and shown as such in docs/clients.md. */
export interface ClientDriver {
  readonly name: string
  /** What to install when it is missing. */
  readonly needs: string
  /** The profile that it needs, where the usual one is too new for it. */
  readonly profile?: 'legacy'
  /** Its version, or undefined when it is not on this machine. Prepares what has to be built. */
  version(): Promise<string | undefined>
  readonly put?: Transfer
  readonly get?: Transfer
  /** The names in a remote folder. */
  readonly list?: (server: ServerAddress, remote: string) => Promise<readonly string[]>
  /** Gives a file another name, replacing what has it. */
  readonly renameOver?: (server: ServerAddress, from: string, to: string) => Promise<void>
  readonly remove?: (server: ServerAddress, remote: string) => Promise<void>
  /** Continues an upload whose first part lies on the server. */
  readonly resumePut?: Transfer
  /** Continues a download whose first part lies here. */
  readonly resumeGet?: Transfer
  /** Starts an upload and kills the client when `halfway` resolves. */
  readonly abortPut?: (
    server: ServerAddress,
    transfer: { local: string; remote: string; halfway: Promise<void> },
  ) => Promise<void>
}

/** Moves one file. */
export type Transfer = (
  server: ServerAddress,
  transfer: { readonly local: string; readonly remote: string },
) => Promise<void>
