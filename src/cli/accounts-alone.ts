import { join } from 'node:path'
import { type Accounts, openAccounts } from '../accounts/open-accounts.ts'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { silentMeter } from '../base/meter.ts'
import { Scope } from '../base/scope.ts'
import type { Config } from '../config/load-config.ts'
import { openDatabase } from '../database/open-database.ts'
import { openEventLog } from '../events/open-event-log.ts'
import { createNotifierRoster } from '../server/notifier-roster.ts'
import { accountSettings } from '../server/account-settings.ts'
import { type KeepersAlone, openKeepersAlone } from '../server/keepers-alone.ts'
import { stateLayout } from '../server/state-layout.ts'
import { holdStateFolder } from '../server/state-lock.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { readConfig } from './read-config.ts'

/** Accounts and their keepers where no server runs. */
export interface AccountsAlone {
  readonly config: Config
  readonly accounts: Accounts
  readonly keepers: KeepersAlone
}

/** Runs `action` on the database itself, held against a server that starts meanwhile. */
export async function withAccountsAlone<T>(
  configFile: string,
  action: (alone: AccountsAlone) => Promise<T>,
): Promise<T> {
  const config = readConfig(configFile)
  const layout = stateLayout(config)
  if (layout.database === ':memory:')
    throw new CommandError(exitCodes.unexpected, 'Accounts are kept in memory and no server runs')
  const scope = new Scope()
  try {
    scope.own(holdStateFolder(layout.lock))
    const database = scope.own(await openDatabase({ path: layout.database }))
    const keepers = scope.own(openKeepersAlone(config))
    // Written down here, told by the next server.
    const notifiers = createNotifierRoster().entries(config.settings)
    const events = await openEventLog({ database, notifiers, tells: false })
    scope.defer(() => events.close())
    const accounts = scope.own(
      openAccounts({
        ...accountSettings(config),
        ...{ database, clock: systemClock, log: silentLogger, meter: silentMeter },
        events,
        secrets: keepers.box,
        homeOf: (username) => join(layout.homes, username),
      }),
    )
    return await action({ config, accounts, keepers })
  } finally {
    await scope.close()
  }
}
