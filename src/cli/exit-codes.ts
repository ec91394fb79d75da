import {
  ConfigError,
  type ConfigErrorCode,
  FileError,
  PackageError,
  type PackageErrorCode,
  PluginError,
  type PluginErrorCode,
  SecretError,
  type SecretErrorCode,
} from '../base/errors.ts'
import { ControlError } from '../control/control-client.ts'
import { CommandError } from './command.ts'

/** What the program's exit codes mean. */
export const exitCodes = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  invalid: 3,
  notFound: 4,
  integrity: 5,
  incompatible: 6,
  network: 7,
  timeout: 8,
  notPermitted: 9,
  contract: 10,
} as const

/** The exit code for anything thrown by a command. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.exitCode
  if (error instanceof ConfigError) return configCodes[error.code] ?? exitCodes.invalid
  if (error instanceof PluginError) return pluginCodes[error.code] ?? exitCodes.unexpected
  if (error instanceof PackageError) return packageCodes[error.code]
  if (error instanceof SecretError) return secretCodes[error.code]
  // A running server says the code of its own error.
  if (error instanceof ControlError) return codesOfServer[error.code] ?? exitCodes.unexpected
  if (error instanceof FileError) {
    if (error.code === 'not-found') return exitCodes.notFound
    return error.code === 'permission-denied' ? exitCodes.notPermitted : exitCodes.unexpected
  }
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? (systemCodes[code] ?? exitCodes.unexpected) : exitCodes.unexpected
}

const configCodes: Partial<Record<ConfigErrorCode, number>> = {
  'state-in-use': exitCodes.unexpected,
  'address-in-use': exitCodes.unexpected,
  'unsupported-platform': exitCodes.unexpected,
}

const pluginCodes: Partial<Record<PluginErrorCode, number>> = {
  'not-found': exitCodes.notFound,
  'checksum-missing': exitCodes.integrity,
  'checksum-mismatch': exitCodes.integrity,
  'interpreter-unverified': exitCodes.integrity,
  'untrusted-certificate': exitCodes.integrity,
  'plaintext-refused': exitCodes.integrity,
  'manifest-invalid': exitCodes.invalid,
  'bad-handshake': exitCodes.incompatible,
  'incompatible-version': exitCodes.incompatible,
  unimplemented: exitCodes.incompatible,
  'start-timeout': exitCodes.timeout,
  deadline: exitCodes.timeout,
  hung: exitCodes.timeout,
  'not-executable': exitCodes.notPermitted,
  refused: exitCodes.notPermitted,
}

const codesOfServer: Readonly<Record<string, number>> = pluginCodes

const packageCodes: Readonly<Record<PackageErrorCode, number>> = {
  'name-invalid': exitCodes.invalid,
  'manifest-invalid': exitCodes.invalid,
  'wrong-slot': exitCodes.invalid,
  ambiguous: exitCodes.invalid,
  'too-large': exitCodes.integrity,
  'not-an-archive': exitCodes.integrity,
  'unsafe-path': exitCodes.integrity,
  'link-inside': exitCodes.integrity,
  'digest-mismatch': exitCodes.integrity,
  'bad-signature': exitCodes.integrity,
  revoked: exitCodes.integrity,
  'stale-index': exitCodes.integrity,
  'not-locked': exitCodes.integrity,
  'version-exists': exitCodes.integrity,
  'in-use': exitCodes.notPermitted,
  'no-such-platform': exitCodes.incompatible,
  incompatible: exitCodes.incompatible,
  'not-found': exitCodes.notFound,
  unreachable: exitCodes.network,
}

const secretCodes: Readonly<Record<SecretErrorCode, number>> = {
  'keeper-missing': exitCodes.notFound,
  'keeper-unavailable': exitCodes.network,
  'keeper-refused': exitCodes.notPermitted,
  'wrong-key': exitCodes.integrity,
  malformed: exitCodes.integrity,
}

const systemCodes: Readonly<Record<string, number>> = {
  ENOENT: exitCodes.notFound,
  EACCES: exitCodes.notPermitted,
  EPERM: exitCodes.notPermitted,
}
