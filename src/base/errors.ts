/** Why a file operation could not be done. Each becomes one SFTP status at the edge. */
export type FileErrorCode =
  | 'not-found'
  | 'permission-denied'
  | 'already-exists'
  | 'not-a-directory'
  | 'is-a-directory'
  | 'directory-not-empty'
  | 'name-too-long'
  | 'bad-message'
  | 'bad-handle'
  | 'end-of-file'
  | 'unsupported'
  | 'cross-device'
  | 'too-many-links'
  | 'not-a-regular-file'
  | 'not-a-link'
  | 'busy'
  | 'too-many-open'
  | 'no-space'
  | 'quota-exceeded'
  | 'too-large'
  | 'read-only'
  | 'input-output'
  | 'interrupted'
  | 'wrong-key'
  | 'keeper-missing'
  | 'keeper-unavailable'
  | 'keeper-refused'
  | 'corrupted'
  | 'cut-short'

/** A file operation could not be done. The sentence is for the log: clients hear the status and a safe sentence. */
export class FileError extends Error {
  override readonly name = 'FileError'
  readonly code: FileErrorCode

  constructor(code: FileErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Why a plugin could not be started or asked. */
export type PluginErrorCode =
  | 'checksum-missing'
  | 'checksum-mismatch'
  | 'not-found'
  | 'not-executable'
  | 'interpreter-unverified'
  | 'manifest-invalid'
  | 'start-timeout'
  | 'bad-handshake'
  | 'incompatible-version'
  | 'untrusted-certificate'
  | 'plaintext-refused'
  | 'cannot-confine'
  | 'connection-refused'
  | 'exited'
  | 'hung'
  | 'memory-limit'
  | 'too-many-restarts'
  | 'stopped'
  | 'not-ready'
  | 'deadline'
  | 'cancelled'
  | 'overloaded'
  | 'malformed-reply'
  | 'too-large'
  | 'refused'
  | 'refused-or-failed'
  | 'failed'
  | 'unimplemented'

/** A plugin could not be started, or could not answer. A plain "no" is a value, never this. */
export class PluginError extends Error {
  override readonly name = 'PluginError'
  readonly code: PluginErrorCode

  constructor(code: PluginErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Why a configuration, a manifest or a command's input was not taken. */
export type ConfigErrorCode =
  | 'file-unreadable'
  | 'syntax'
  | 'unknown-key'
  | 'unsupported-key'
  | 'wrong-type'
  | 'out-of-range'
  | 'missing-key'
  | 'conflict'
  | 'unsafe'
  | 'state-in-use'
  | 'address-in-use'
  | 'unsupported-platform'

/** A configuration could not be used. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code: ConfigErrorCode

  constructor(code: ConfigErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Why a stored secret could not be sealed or opened. */
export type SecretErrorCode =
  'keeper-missing' | 'keeper-unavailable' | 'keeper-refused' | 'wrong-key' | 'malformed'

/** A secret could not be sealed or opened. The sentence names the keeper, never the secret. */
export class SecretError extends Error {
  override readonly name = 'SecretError'
  readonly code: SecretErrorCode

  constructor(code: SecretErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Why a package, its archive or a catalog was not taken. */
export type PackageErrorCode =
  | 'name-invalid'
  | 'manifest-invalid'
  | 'too-large'
  | 'not-an-archive'
  | 'unsafe-path'
  | 'link-inside'
  | 'digest-mismatch'
  | 'bad-signature'
  | 'version-exists'
  | 'wrong-slot'
  | 'no-such-platform'
  | 'incompatible'
  | 'revoked'
  | 'not-found'
  | 'ambiguous'
  | 'unreachable'
  | 'stale-index'
  | 'not-locked'
  | 'in-use'

/** A package could not be read, trusted, found or kept. */
export class PackageError extends Error {
  override readonly name = 'PackageError'
  readonly code: PackageErrorCode

  constructor(code: PackageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The text of anything thrown, for a log field. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
