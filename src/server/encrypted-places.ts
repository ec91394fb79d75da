import type { FilesystemConfig } from '../accounts/user.ts'
import { FileError, SecretError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Keepers } from '../secrets/keepers.ts'
import { isEmptySecret, type StoredSecret } from '../secrets/secret.ts'
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

/** Creates it; sessions over the same place share what is open, so it is made once for a server. */
export function createEncryptedPlaces({
  keepers,
  log,
}: {
  readonly keepers: Keepers
  readonly log: Logger
}): EncryptedPlaces {
  const shared = createSharedFiles()
  return {
    wrap(base, { cryptconfig }, owner) {
      const secret = cryptconfig?.passphrase
      if (secret === undefined || isEmptySecret(secret)) {
        throw new FileError(
          'wrong-key',
          `Cannot open the encrypted place of "${owner}": it has no passphrase`,
        )
      }
      return backends.encrypted({ base, shared, keys: keysOf(secret, owner, keepers, log) })
    },
  }
}

/** Keys that are opened at the first file and kept while the session lasts; a failure is tried again at the next file. */
function keysOf(secret: StoredSecret, owner: string, keepers: Keepers, log: Logger): EncryptionKeys {
  let key: Promise<Buffer> | undefined
  const passphrase = async (): Promise<Buffer> => {
    try {
      return Buffer.from((await keepers.open(secret)).reveal(), 'utf8')
    } catch (error) {
      log.error('secret not opened', { secret: `passphrase of "${owner}"`, error: messageOf(error) })
      const code =
        error instanceof SecretError && error.code === 'wrong-key' ? 'wrong-key' : 'keeper-unavailable'
      throw new FileError(code, `Cannot open the passphrase of "${owner}"`, { cause: error })
    }
  }
  return {
    passphrase,
    userKey() {
      key ??= passphrase()
        .then(userKeyOf)
        .catch((error: unknown) => {
          key = undefined
          throw error
        })
      return key
    },
  }
}
