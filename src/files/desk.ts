import type { Logger } from '../base/log.ts'
import type { NameRules } from '../accounts/name-rules.ts'
import type { Permissions } from '../accounts/permissions.ts'
import type { User } from '../accounts/user.ts'
import type { ActiveUploads } from './active-uploads.ts'
import type { FilePolicy } from './file-policy.ts'
import type { Happenings } from './happenings.ts'
import type { Mounts } from './mounts.ts'
import type { Pacer } from './pacer.ts'
import type { PartJournal } from './part-journal.ts'
import type { TransferQuota } from './transfer-quota.ts'
import type { UsageLedger } from './usage-ledger.ts'

/** What everything that one person does with files may use. */
export interface Desk {
  readonly user: User
  readonly mounts: Mounts
  readonly policy: FilePolicy
  readonly permissions: Permissions
  readonly names: NameRules
  readonly happenings: Happenings
  readonly active: ActiveUploads
  readonly journal: PartJournal
  readonly ledger: UsageLedger | undefined
  readonly transfers: TransferQuota
  /** The rate of one transfer, where there is one. */
  uploadPacer(): Pacer | undefined
  downloadPacer(): Pacer | undefined
  readonly log: Logger
}
