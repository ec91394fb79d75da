import type { Accounts } from '../accounts/open-accounts.ts'
import type { Config } from '../config/load-config.ts'
import type { Database } from '../database/open-database.ts'
import type { OpenEventLog } from '../events/open-event-log.ts'
import type { PluginHost } from '../host/host.ts'
import type { ProgramLogger } from '../telemetry/logger.ts'
import type { DatabasePulse } from './database-pulse.ts'
import type { EncryptedPlaces } from './encrypted-places.ts'
import type { KeeperParts } from './keeper-parts.ts'
import type { NotifierRoster } from './notifier-roster.ts'
import type { ServerOptions } from './running-server.ts'
import type { SshDoor } from './ssh-door.ts'

/** Everything a running server is made of: what commands over the control socket work with. */
export interface Parts {
  readonly options: ServerOptions
  /** The configuration in force; a reload exchanges it. */
  readonly current: { config: Config }
  readonly startedAt: string
  readonly log: ProgramLogger
  readonly database: Database
  readonly pulse: DatabasePulse
  readonly host: PluginHost
  readonly roster: NotifierRoster
  readonly keepers: KeeperParts
  readonly encrypted: EncryptedPlaces
  readonly accounts: Accounts
  readonly events: OpenEventLog
  readonly door: SshDoor
}
