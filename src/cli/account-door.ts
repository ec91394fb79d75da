import { userInfo } from 'node:os'
import { join } from 'node:path'
import { openAccounts } from '../accounts/open-accounts.ts'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { silentMeter } from '../base/meter.ts'
import { openDatabase } from '../database/open-database.ts'
import { accountSettings } from '../server/account-settings.ts'
import { stateLayout } from '../server/state-layout.ts'
import { holdStateFolder } from '../server/state-lock.ts'
import { findServer } from './ask-server.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { readConfig } from './read-config.ts'

/** Asks for something about accounts. */
export type AskAccounts = (operation: string, input?: Readonly<Record<string, unknown>>) => Promise<unknown>

/**
 * Runs `action` with a way to ask about accounts: the running server where there is one, so that its sessions hear
 * of changes; otherwise the database itself, held against a server that starts meanwhile.
 */
export async function withAccounts<T>(
  configFile: string,
  action: (ask: AskAccounts) => Promise<T>,
): Promise<T> {
  const server = await findServer(configFile)
  const who = { actor: userInfo().username }
  if (server !== undefined) {
    try {
      return await action(told((operation, input) => server.ask(operation, { ...who, ...input })))
    } finally {
      server.close()
    }
  }
  return withDatabase(configFile, (ask) =>
    action(told((operation, input) => ask(operation, { ...who, ...input }))),
  )
}

async function withDatabase<T>(configFile: string, action: (ask: AskAccounts) => Promise<T>): Promise<T> {
  const config = readConfig(configFile)
  const layout = stateLayout(config)
  if (layout.database === ':memory:')
    throw new CommandError(exitCodes.unexpected, 'Accounts are kept in memory and no server runs')
  const lock = holdStateFolder(layout.lock)
  try {
    const database = await openDatabase({ path: layout.database })
    try {
      const accounts = openAccounts({
        ...accountSettings(config),
        database,
        ...{ clock: systemClock, log: silentLogger, meter: silentMeter },
        // Notifiers hear of changes that a server makes; without one nobody listens.
        events: { recordLog() {}, async recordProvider() {} },
        secrets: unsealedSecrets,
        homeOf: (username) => join(layout.homes, username),
      })
      try {
        return await action(async (operation, input) => {
          const run = accounts.operations[operation]
          if (run === undefined) throw new Error(`Unknown operation "${operation}"`)
          return run(input)
        })
      } finally {
        await accounts.close()
      }
    } finally {
      await database.close()
    }
  } finally {
    lock.close()
  }
}

// Without a server no key service runs. A secret given in clear is refused rather than kept in clear.
const unsealedSecrets = {
  seal: () =>
    Promise.reject(
      new CommandError(
        exitCodes.unexpected,
        'A secret can be sealed only by a running server; start it first',
      ),
    ),
  open: () =>
    Promise.reject(new CommandError(exitCodes.unexpected, 'A secret can be opened only by a running server')),
}

/** Gives errors of accounts, local or from the server, their exit codes. */
function told(ask: AskAccounts): AskAccounts {
  return async (operation, input) => {
    try {
      return await ask(operation, input)
    } catch (error) {
      const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
      const exitCode = typeof code === 'string' ? codes[code] : undefined
      if (exitCode === undefined || !(error instanceof Error)) throw error
      throw new CommandError(exitCode, error.message, { cause: error })
    } finally {
      // Nothing of the input stays behind in the error: it may hold a password.
    }
  }
}

const codes: Readonly<Record<string, number>> = {
  'not-found': exitCodes.notFound,
  exists: exitCodes.unexpected,
  invalid: exitCodes.invalid,
  'read-only': exitCodes.notPermitted,
}
