import type { FilesystemConfig } from '../accounts/user.ts'
import {
  FileError,
  type FileErrorCode,
  SecretError,
  type SecretErrorCode,
  messageOf,
} from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Keepers } from '../secrets/keepers.ts'
import { identityOf, isEmptySecret, type StoredSecret } from '../secrets/secret.ts'
import { createWarmValues, type WarmValues } from '../secrets/warm-values.ts'
import type { Backend } from '../storage/backend.ts'
import type { EncryptionKeys } from '../storage/encrypted.ts'
import { backends } from '../storage/index.ts'
import { createSharedFiles } from '../storage/shared-files.ts'
import { userKeyOf } from '../storage/user-key.ts'

/** Encrypts the contents of places whose users have a passphrase. */
export interface EncryptedPlaces {
  /** `base` with its contents encrypted by the passphrase of `filesystem`; `owner` is for the log. */
  wrap(base: Backend, filesystem: FilesystemConfig, owner: string): Backend
}

/** What encrypted places are made of. */
export interface EncryptedPlacesOptions {
  readonly keepers: Pick<Keepers, 'open' | 'nameOf'>
  /** How long a user's key stays in memory after the session that made it asked for it: `kms.cache_time`. */
  readonly cacheTimeMs: number
  readonly log: Logger
}

/** Creates it; sessions over the same place share what is open, so it is made once for a server. */
export function createEncryptedPlaces({
  keepers,
  cacheTimeMs,
  log,
}: EncryptedPlacesOptions): EncryptedPlaces {
  const shared = createSharedFiles()
  // Making a key of a passphrase takes 40 ms of a core: not at every short session of a client that comes often.
  const warm = createWarmValues<Buffer>({ keepMs: cacheTimeMs })
  const tell = sparing((message, fields) => log.error(message, fields))
  return {
    wrap(base, { cryptconfig }, owner) {
      const secret = cryptconfig?.passphrase
      if (secret === undefined || isEmptySecret(secret)) {
        throw new FileError(
          'wrong-key',
          `Cannot open the encrypted place of "${owner}": it has no passphrase`,
        )
      }
      return backends.encrypted({
        ...{ base, shared, keys: keysOf(secret, owner, { keepers, warm, tell }) },
        onError(error, path) {
          if (!(error instanceof FileError)) return
          const fields = { owner, path, code: error.code, error: error.message }
          if (ofSealedBytes.has(error.code)) tell('encrypted file not read', fields)
          if (error.code === 'busy') tell('encrypted file in use', fields)
        },
      })
    },
  }
}

interface KeySources {
  readonly keepers: Pick<Keepers, 'open' | 'nameOf'>
  readonly warm: WarmValues<Buffer>
  readonly tell: Tell
}

/** Keys that are opened at the first file and kept while the session lasts; a failure is tried again at the next file. */
function keysOf(secret: StoredSecret, owner: string, { keepers, warm, tell }: KeySources): EncryptionKeys {
  let key: Promise<Buffer> | undefined
  const passphrase = async (): Promise<Buffer> => {
    try {
      return Buffer.from((await keepers.open(secret)).reveal(), 'utf8')
    } catch (error) {
      const code = error instanceof SecretError ? codeOf[error.code] : 'keeper-unavailable'
      // A field named "secret" would be hidden by the logger.
      const what = { sealed: `passphrase of "${owner}"`, keeper: keepers.nameOf(secret) }
      tell('secret not opened', { ...what, code, error: messageOf(error) })
      throw new FileError(code, `Cannot open the passphrase of "${owner}"`, { cause: error })
    }
  }
  return {
    passphrase,
    userKey() {
      key ??= warm
        .get(identityOf(secret), async () => userKeyOf(await passphrase()))
        .catch((error: unknown) => {
          key = undefined
          throw error
        })
      return key
    },
  }
}

const codeOf: Readonly<Record<SecretErrorCode, FileErrorCode>> = {
  'keeper-missing': 'keeper-missing',
  'keeper-unavailable': 'keeper-unavailable',
  'keeper-refused': 'keeper-refused',
  'wrong-key': 'wrong-key',
  malformed: 'corrupted',
}

/** What is said about a file itself; what its key came to was said already. */
const ofSealedBytes: ReadonlySet<FileErrorCode> = new Set(['wrong-key', 'corrupted', 'cut-short'])

type Tell = (message: string, fields: Readonly<Record<string, string>>) => void

/** Says the same thing at most once in ten seconds: a client may ask for a broken file as often as it likes. */
function sparing(say: Tell): Tell {
  const said = new Map<string, number>()
  return (message, fields) => {
    const what = JSON.stringify([message, fields])
    const now = performance.now()
    if (now < (said.get(what) ?? 0)) return
    if (said.size >= 1000) said.clear()
    said.set(what, now + 10_000)
    say(message, fields)
  }
}
