import { readFileSync } from 'node:fs'
import { ConfigError, messageOf } from '../base/errors.ts'
import type { CertificateLists } from './login-options.ts'
import { KeyError, parseAuthorizedKey } from './public-key.ts'

const mostRevokedBytes = 5 * 1024 * 1024

/**
 * Reads the trusted authorities (one public key in each line) and the revoked fingerprints (a JSON array of
 * `SHA256:...`). Throws a `ConfigError` naming file and line: an authority that is not understood, or a list of
 * revoked keys that cannot be read, must not be passed over.
 */
export function readCertificateFiles(
  authorityFiles: readonly string[],
  revokedFile: string,
): CertificateLists {
  return {
    authorities: new Set(authorityFiles.flatMap((file) => readAuthorities(file))),
    revoked: new Set(revokedFile === '' ? [] : readRevoked(revokedFile)),
  }
}

function readAuthorities(file: string): string[] {
  const lines = read(file).toString('utf8').split('\n')
  const keys = lines.flatMap((line, index) => {
    if (line.trim() === '' || line.trim().startsWith('#')) return []
    try {
      return [parseAuthorizedKey(line).fingerprint]
    } catch (error) {
      if (!(error instanceof KeyError)) throw error
      throw new ConfigError('syntax', `Cannot use "${file}", line ${index + 1}: ${error.message}`, {
        cause: error,
      })
    }
  })
  if (keys.length === 0) throw new ConfigError('syntax', `Cannot use "${file}": it has no public key`)
  return keys
}

function readRevoked(file: string): string[] {
  const bytes = read(file)
  if (bytes.length > mostRevokedBytes)
    throw new ConfigError('out-of-range', `Cannot use "${file}": it is larger than 5 MiB`)
  let list: unknown
  try {
    list = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw new ConfigError('syntax', `Cannot use "${file}": ${messageOf(error)}`, { cause: error })
  }
  const isList =
    Array.isArray(list) && list.every((one) => typeof one === 'string' && one.startsWith('SHA256:'))
  if (!isList)
    throw new ConfigError('syntax', `Cannot use "${file}": expected a JSON array of "SHA256:..." texts`)
  return list as string[] // as just checked
}

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new ConfigError('file-unreadable', `Cannot read "${file}": ${messageOf(error)}`, { cause: error })
  }
}
