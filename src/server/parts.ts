import type { Stories } from '../accounts/story.ts'
import type { Config } from '../config/load-config.ts'
import type { Database } from '../database/open-database.ts'
import type { OpenEventLog } from '../events/open-event-log.ts'
import type { PluginHost } from '../host/host.ts'
import type { ProgramLogger } from '../telemetry/logger.ts'
import type { AccountParts, AdmissionParts, CertificateHolder } from './account-parts.ts'
import type { KeeperParts } from './keeper-parts.ts'
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
  readonly host: PluginHost
  readonly keepers: KeeperParts
  readonly accounts: AccountParts
  readonly admission: AdmissionParts
  readonly certificates: CertificateHolder
  readonly stories: Stories
  readonly events: OpenEventLog
  readonly door: SshDoor
}
