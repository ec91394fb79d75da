import { silentLogger } from '../base/log.ts'
import { ControlError } from '../control/control-client.ts'
import { createEncryptedPlaces } from '../server/encrypted-places.ts'
import { type KmsItem, createKmsOperations } from '../server/kms-operations.ts'
import { withAccountsAlone } from './accounts-alone.ts'
import { findServer } from './ask-server.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

/** A round that keepers are needed for. */
export type KmsOperation = 'kms rotate' | 'kms rehearse' | 'kms rewrap'

/** Runs a round over the stored secrets: in the running server, or on the database where none runs. */
export async function runKms(
  configFile: string,
  operation: KmsOperation,
  input: Readonly<Record<string, unknown>>,
  onItem: (item: KmsItem) => void,
): Promise<void> {
  const server = await findServer(configFile)
  if (server === undefined) return runAlone(configFile, operation, input, onItem)
  try {
    for await (const item of server.follow(operation, input)) onItem(item as KmsItem) // as the operation sends
  } catch (error) {
    if (!(error instanceof ControlError) || error.code !== 'stopped') throw error
    throw new CommandError(
      exitCodes.unexpected,
      'The server ended meanwhile; what was done is done, run it again',
      {
        cause: error,
      },
    )
  } finally {
    server.close()
  }
}

function runAlone(
  configFile: string,
  operation: KmsOperation,
  input: Readonly<Record<string, unknown>>,
  onItem: (item: KmsItem) => void,
): Promise<void> {
  return withAccountsAlone(configFile, async ({ config, accounts: { store }, keepers: { keepers } }) => {
    const encrypted = createEncryptedPlaces({ keepers, cacheTimeMs: 0, log: silentLogger })
    const operations = createKmsOperations({
      ...{ config: () => config, store, keepers, encrypted, log: silentLogger },
    })
    const never = new AbortController().signal
    await operations[operation]?.(input, {
      signal: never,
      async send(item) {
        onItem(item as KmsItem) // as the operation sends
      },
    })
  })
}
