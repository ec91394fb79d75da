import { userInfo } from 'node:os'
import { withAccountsAlone } from './accounts-alone.ts'
import { findServer } from './ask-server.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

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
  return withAccountsAlone(configFile, ({ accounts }) =>
    action(
      told(async (operation, input) => {
        const run = accounts.operations[operation]
        if (run === undefined) throw new Error(`Unknown operation "${operation}"`)
        return run({ ...who, ...input })
      }),
    ),
  )
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
  // A secret that is to be sealed.
  'keeper-missing': exitCodes.notFound,
  'keeper-unavailable': exitCodes.network,
  'keeper-refused': exitCodes.notPermitted,
}
